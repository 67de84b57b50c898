// portmap: ports of the host that lead to a container.
#include <algorithm>

#include "cni/firewall/iptables_nat.h"
#include "cni/firewall/nft_program.h"
#include "cni/host/link_socket.h"
#include "cni/host/netns.h"
#include "cni/portmap/conntrack.h"
#include "cni/portmap/portmap_config.h"
#include "cni/portmap/portmap_iptables.h"
#include "cni/portmap/portmap_nftables.h"
#include "cni/protocol/error.h"
#include "cni/protocol/plugin.h"
#include "cni/protocol/result.h"
#include "cni/protocol/undo.h"
#include "process/process.h"

namespace flannel::cni {
namespace {

AddResult need_previous_result(const Request& request, const char* missing) {
  std::optional<AddResult> result = previous_result(request);
  if (!result) {
    throw_error(Code::invalid_config, "{}", missing);
  }
  return std::move(*result);
}

void flush_stale_connections(const PortmapConfig& config) {
  std::vector<std::uint16_t> ports;
  for (const PortMapping& mapping : config.mappings) {
    if (mapping.protocol == "udp") {
      ports.push_back(mapping.host_port);
    }
  }
  std::vector<Family> families;
  for (const Family family : kFamilies) {
    if (config.address(family)) {
      families.push_back(family);
    }
  }
  if (ports.empty() || families.empty()) {
    return;
  }
  // The kernel takes 9 ms to look through a table of the usual size, more than all the rest here.
  in_background([&] {
    try {
      flush_udp_connections(families, ports);
    } catch (const std::exception&) {
      return;  // they end by themselves when nothing is sent for a while
    }
  });
}

// The host's own packets to the container may come from 127.0.0.1: a comfort, which a read-only
// /proc/sys does not have.
void allow_localhost(const PortmapConfig& config) {
  if (!config.v4 || !config.snat) {
    return;
  }
  const std::optional<std::string> dev = LinkSocket().device_to(config.v4->ip);
  if (dev) {
    set_sysctl("net/ipv4/conf/" + *dev + "/route_localnet", "1");
  }
}

// Of whichever backend: the one that added it may have been another.
void tear_down(const PortmapConfig& config) {
  tear_down_iptables_ports(config);
  tear_down_nft_ports(config.container_id);
}

json::object add(const Request& request) {
  const PortmapConfig config = parse_portmap(request, preferred_backend());
  const AddResult result = need_previous_result(request, "must be called as chained plugin");
  if (!config.mappings.empty()) {
    Undo undo;
    undo.add([&config] { tear_down(config); });
    if (config.backend == "nftables") {
      set_up_nft_ports(config);
    } else {
      set_up_iptables_ports(config);
    }
    flush_stale_connections(config);
    allow_localhost(config);
    undo.dismiss();
  }
  return to_json(result, request.version);
}

void check(const Request& request) {
  const PortmapConfig config = parse_portmap(request, preferred_backend());
  need_previous_result(request, "Required prevResult missing");
  if (config.mappings.empty()) {
    return;
  }
  if (config.backend == "nftables") {
    check_nft_ports(config);
  } else {
    check_iptables_ports(config);
  }
}

void del(const Request& request) {
  const PortmapConfig config = parse_portmap(request, preferred_backend());
  if (!config.mappings.empty()) {
    tear_down(config);
  }
}

void gc(const Request& request) {
  // Rules of nftables do not say which network they are of: they stay.
  collect_iptables_ports(request.name, valid_attachments(request));
}

void status(const Request& request) {
  const PortmapConfig config = parse_portmap(request, preferred_backend());
  const bool usable =
      config.backend == "nftables" ? Nft::installed() : Iptables(Family::v4).installed();
  if (!usable) {
    throw_error(Code::not_available, "neither iptables nor nft is installed");
  }
}

}  // namespace

const Plugin kPortmap = {"portmap", add, check, del, gc, status};

}  // namespace flannel::cni

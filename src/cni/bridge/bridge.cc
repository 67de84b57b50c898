#include "cni/bridge/bridge.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <set>

#include "cni/bridge/bridge_config.h"
#include "cni/bridge/bridge_gateway.h"
#include "cni/bridge/container.h"
#include "cni/firewall/mac_spoof_check.h"
#include "cni/firewall/masquerade.h"
#include "cni/host/eventually.h"
#include "cni/host/link_socket.h"
#include "cni/host/netns.h"
#include "cni/protocol/attempts.h"
#include "cni/protocol/error.h"
#include "cni/protocol/plugin.h"
#include "cni/protocol/undo.h"
#include "firewall/hash_name.h"

namespace flannel::cni {
namespace {

using std::chrono::microseconds;

constexpr int kNameTries = 10;
constexpr microseconds kRunningWithin{2'550'000};  // as long as the reference waits in all

const LinkInfo& need_bridge(const std::optional<LinkInfo>& link, const std::string& name) {
  if (!link) {
    throw_error(Code::internal, "could not lookup \"{}\": it is gone", name);
  }
  if (link->kind != "bridge") {
    throw_error(Code::internal, "\"{}\" already exists but is not a bridge", name);
  }
  return *link;
}

LinkInfo ensure_bridge(LinkSocket& host, const BridgeConfig& config) {
  std::optional<LinkInfo> bridge = host.find(config.bridge);
  if (!bridge) {
    host.add_bridge(config.bridge, config.mtu, config.vlan != 0 || config.trunk_given);
    bridge = host.find(config.bridge);
    set_sysctl("net/ipv6/conf/" + config.bridge + "/accept_ra", "0");
  }
  need_bridge(bridge, config.bridge);
  if (config.promiscuous && !bridge->promiscuous) {
    host.set_promiscuous(bridge->index);
  }
  if (!bridge->up) {
    host.set_up(bridge->index);
  }
  return *bridge;
}

// The name of a pair's end on the host, for whom it is: a killed ADD may have made it without its
// alias. Another where somebody has that name.
std::string name_for(const std::string& whose, int attempt) {
  constexpr std::size_t kLength = 12;  // as long as the reference's random ones
  return hash_name("veth", fmt::format("{} {}", whose, attempt), kLength);
}

bool is_named_for(const std::string& name, const std::string& whose) {
  int attempt = 0;
  while (attempt < kNameTries && name_for(whose, attempt) != name) {
    ++attempt;
  }
  return attempt < kNameTries;
}

bool has_link(const NetNs& netns, const std::string& name) {
  bool there = false;
  netns.run([&] { there = LinkSocket().find(name).has_value(); });
  return there;
}

// The VLAN that the kernel gives a new port; 0 where it gives none.
std::uint16_t default_vlan(const std::string& bridge) {
  const Result<std::string> text = read_file("/sys/class/net/" + bridge + "/bridge/default_pvid");
  return text ? static_cast<std::uint16_t>(std::strtoul(text->c_str(), nullptr, 10)) : 0;
}

void set_vlans(LinkSocket& host, const BridgeConfig& config, int port,
               const std::vector<std::uint16_t>& trunk) {
  if (config.vlan == 0 && trunk.empty()) {
    return;
  }
  const std::uint16_t given = default_vlan(config.bridge);
  if (!config.keep_default_vlan && given != 0) {
    host.remove_vlan(port, given);
  }
  for (const std::uint16_t id : trunk) {
    host.add_vlan(port, {.id = id});
  }
  host.add_vlan(port, {.id = config.vlan != 0 ? config.vlan : std::uint16_t{1}, .native = true});
}

// One end in `netns` with the name asked for, the other a port of the bridge with a name of its
// own.
LinkInfo make_port(LinkSocket& host, const BridgeConfig& config, const LinkInfo& bridge,
                   const NetNs& netns, VethPair pair, const std::vector<std::uint16_t>& trunk,
                   Undo& undo) {
  pair.container_netns = netns.fd();
  pair.bridge = bridge.index;
  std::optional<LinkInfo> port;
  for (int attempt = 0; !port; ++attempt) {
    if (attempt == kNameTries || (attempt > 0 && has_link(netns, pair.container_name))) {
      throw_error(Code::internal,
                  "container veth name (\"{}\") peer provided (\"{}\") already exists",
                  pair.container_name, pair.host_name);
    }
    pair.host_name = name_for(pair.alias.empty() ? pair.container_name : pair.alias, attempt);
    port = host.add_veth(pair);
  }
  undo.add([&host, index = port->index] { host.remove(index); });
  set_sysctl("net/ipv6/conf/" + pair.host_name + "/accept_ra", "0");
  set_vlans(host, config, port->index, trunk);
  return *port;
}

// With a VLAN, the gateway's addresses are on a link of the host in that VLAN: `cni0.100`.
LinkInfo gateway_link(LinkSocket& host, const BridgeConfig& config, const LinkInfo& bridge) {
  if (config.vlan == 0) {
    return bridge;
  }
  const std::string name = fmt::format("{}.{}", config.bridge, config.vlan);
  std::optional<LinkInfo> link = host.find(name);
  if (!link) {
    Undo undo;
    const VethPair pair{.container_name = name, .mtu = bridge.mtu};
    make_port(host, config, bridge, NetNs::current(), pair, {}, undo);
    link = host.find(name);
    host.set_up(link->index);
    undo.dismiss();
  }
  return *link;
}

// The MACs of the bridge and of the host's end, as they are when all is done; with `wait`, when the
// port forwards: the container's end is up already.
void read_macs(LinkSocket& host, AddResult& result, bool wait) {
  const std::array names = {result.interfaces[0].name, result.interfaces[1].name};
  const bool done = eventually(kRunningWithin, [&] {
    const std::vector<std::optional<LinkInfo>> links = host.find_all(names);
    result.interfaces[0].mac = need_bridge(links[0], names[0]).mac.to_text();
    if (!links[1]) {
      throw_error(Code::internal, "\"{}\" is gone", names[1]);
    }
    result.interfaces[1].mac = links[1]->mac.to_text();
    return !wait || links[1]->running;
  });
  if (!done) {
    throw_error(Code::internal, "bridge port in error state: \"{}\" is not up", names[1]);
  }
}

// Steps of ADD that need addresses.
void add_layer3(const Request& request, const BridgeConfig& config, const Containers& containers,
                LinkSocket& host, const LinkInfo& bridge, ContainerLink& container,
                AddResult& result, Undo& undo) {
  AddResult given = ipam_add(request, config.ipam, containers);
  undo.add([&request, ipam = config.ipam, known = addresses_of(given)] {
    ipam_del(request, ipam, known);
  });
  result.ips = std::move(given.ips);
  result.routes = std::move(given.routes);
  result.dns = std::move(given.dns);
  const std::vector<Prefix> gateways = plan_gateways(config, result);
  container.configure(result);
  if (!gateways.empty()) {
    const LinkInfo link = gateway_link(host, config, bridge);
    if (link.index != bridge.index) {
      result.interfaces.push_back({.name = link.name, .mac = link.mac.to_text()});
    }
    ensure_gateways(host, config, link, gateways);
  }
  if (config.masquerade) {
    Masquerade masquerade{.network = request.name,
                          .attachment = request.attachment,
                          .addresses = {},
                          .backend = config.masquerade_backend};
    for (const ResultIp& ip : result.ips) {
      masquerade.addresses.push_back(ip.address);
    }
    undo.add([&request, known = addresses_of(result)] {
      tear_down_masquerade(request.name, request.attachment, known);
    });
    set_up_masquerade(masquerade);
  }
}

// The port's alias: whose it is.
std::string port_alias(const std::string& network, const Attachment& attachment) {
  return fmt::format("{} {} {}", network, attachment.container_id, attachment.ifname);
}

void remove_ports(const BridgeConfig& config, const std::function<bool(const LinkInfo&)>& which) {
  LinkSocket host;
  const std::optional<LinkInfo> bridge = host.find(config.bridge);
  const std::vector<LinkInfo> ports = bridge ? host.ports(bridge->index) : std::vector<LinkInfo>();
  for (const LinkInfo& port : ports) {
    if (port.kind == "veth" && which(port)) {
      host.remove(port.index);
    }
  }
}

// The host's end as the ADD's result has it; the name alone may be another's by now. A port of
// ours has an alias that says whose it is, whatever the result says.
bool is_in(const AddResult& result, const LinkInfo& port) {
  return std::any_of(
      result.interfaces.begin(), result.interfaces.end(), [&](const ResultInterface& each) {
        return each.sandbox.empty() && each.name == port.name && each.mac == port.mac.to_text();
      });
}

json::object add(const Request& request) {
  return to_json(bridge_add(request), request.version);
}

void gc(const Request& request) {
  const BridgeConfig config = parse_bridge(request);
  const std::vector<Attachment> valid = valid_attachments(request);
  std::set<std::string> aliases;
  for (const Attachment& each : valid) {
    aliases.insert(port_alias(request.name, each));
  }
  Attempts attempts;
  attempts.run([&] {
    remove_ports(config, [&](const LinkInfo& port) {
      return port.alias.starts_with(request.name + " ") && !aliases.contains(port.alias);
    });
  });
  attempts.run([&] { ipam_gc(request, config.ipam); });
  if (config.masquerade) {
    attempts.run([&] { collect_masquerade(request.name, valid); });
  }
  attempts.finish();
}

void status(const Request& request) {
  ipam_status(request, parse_bridge(request).ipam);
}

}  // namespace

void bridge_validate(const Request& request) {
  if (parse_bridge(request).ipam == kHostLocal.name) {
    parse_host_local(request);
  }
  const std::string& ifname = request.attachment.ifname;
  if (request.verb == Verb::add && has_link(NetNs::need(request.netns), ifname)) {
    throw_error(Code::internal, "container veth name (\"{}\") already exists", ifname);
  }
}

AddResult bridge_add(const Request& request, const Containers& containers) {
  const BridgeConfig config = parse_bridge(request);
  const NetNs netns = NetNs::need(request.netns);
  const Attachment& attachment = request.attachment;
  LinkSocket host;
  Undo undo;
  const LinkInfo bridge = ensure_bridge(host, config);
  const VethPair pair{.container_name = attachment.ifname,
                      .container_mac = config.mac,
                      .mtu = config.mtu,
                      .alias = port_alias(request.name, attachment)};
  const LinkInfo port = make_port(host, config, bridge, netns, pair, config.trunk, undo);
  if (config.hairpin || config.isolated) {
    host.set_port(port.index, {.hairpin = config.hairpin, .isolated = config.isolated});
  }
  ContainerLink container(netns, attachment.ifname, config);
  AddResult result;
  result.interfaces = {
      {.name = config.bridge},
      {.name = port.name},
      {.name = attachment.ifname, .mac = container.info().mac.to_text(), .sandbox = request.netns}};
  if (config.check_mac_spoofing) {
    undo.add([&attachment] { tear_down_mac_spoof_check(attachment); });
    set_up_mac_spoof_check(attachment, port.name, result.interfaces[2].mac);
  }
  if (!config.ipam.empty()) {
    add_layer3(request, config, containers, host, bridge, container, result, undo);
  } else if (config.container_interface) {
    container.configure(result);
  }
  read_macs(host, result, config.container_interface);
  container.wait_for_addresses(result);
  if (!result.ips.empty()) {
    container.announce();
  }
  if (!config.dns.empty()) {
    result.dns = config.dns;
  }
  undo.dismiss();
  return result;
}

void bridge_del(const Request& request) {
  const BridgeConfig config = parse_bridge(request);
  const AddResult result = previous_result_or_empty(request);
  std::vector<IpAddr> known = addresses_of(result);
  const std::optional<NetNs> netns =
      request.netns.empty() ? std::nullopt : NetNs::open(request.netns);
  if (netns) {
    // What the link has is what the container left of it: the result, where there is one, is whole.
    std::vector<IpAddr> had = remove_container_link(*netns, request.attachment.ifname);
    known = known.empty() ? std::move(had) : std::move(known);
  } else {
    // The namespace may live on without a name, held by a process. Ports of Go's plugin have no
    // alias, nor has one whose ADD was killed as soon as it was made.
    const std::string alias = port_alias(request.name, request.attachment);
    remove_ports(config, [&](const LinkInfo& port) {
      return port.alias == alias ||
             (port.alias.empty() && (is_in(result, port) || is_named_for(port.name, alias)));
    });
  }
  const std::vector<IpAddr> released = ipam_del(request, config.ipam, known);
  known.insert(known.end(), released.begin(), released.end());
  if (config.check_mac_spoofing) {
    tear_down_mac_spoof_check(request.attachment);
  }
  if (config.masquerade) {
    tear_down_masquerade(request.name, request.attachment, known);
  }
}

const Plugin kBridge = {"bridge", add, bridge_check, bridge_del, gc, status};

}  // namespace flannel::cni

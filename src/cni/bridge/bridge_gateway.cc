#include "cni/bridge/bridge_gateway.h"

#include <algorithm>

#include "cni/host/netns.h"
#include "cni/protocol/error.h"
#include "kernel/router_advertisements.h"

namespace flannel::cni {
namespace {

// Among the result's interfaces: bridge, host's end, container's end.
constexpr std::int64_t kContainerInterface = 2;

Prefix default_destination(Family family) {
  return {IpAddr::from_number(family, 0), 0};
}

bool has_default_route(const AddResult& result, Family family) {
  return std::any_of(result.routes.begin(), result.routes.end(), [&](const ResultRoute& route) {
    return route.gw && route.dst == default_destination(family);
  });
}

// An address that is in the way of `wanted`: any other for IPv4, an overlapping one for IPv6.
bool is_in_the_way(const Prefix& address, const Prefix& wanted) {
  return address.family() == wanted.family() && (wanted.ip.is_v4() || address.overlaps(wanted));
}

// The container that is just being added is a port already.
bool serves_others(LinkSocket& host, const LinkInfo& link) {
  return host.ports(link.index).size() > 1;
}

void ensure_address(LinkSocket& host, const BridgeConfig& config, const LinkInfo& link,
                    const Prefix& wanted) {
  const std::vector<netlink::AddressMessage> addresses = host.addresses(link.index);
  const bool there = std::any_of(addresses.begin(), addresses.end(),
                                 [&](const auto& each) { return each.address.prefix == wanted; });
  if (there) {
    return;
  }
  for (const netlink::AddressMessage& each : addresses) {
    const Prefix& address = each.address.prefix;
    if (!is_in_the_way(address, wanted)) {
      continue;
    }
    if (!config.force_address && (!config.repair || serves_others(host, link))) {
      throw CniError(
          Code::internal,
          fmt::format(
              "failed to set bridge addr: \"{}\" already has an IP address different from {}",
              link.name, wanted.to_text()),
          fmt::format("it has {}: the node's subnet was another when the bridge was made. When no "
                      "container uses it any more, `ip link delete {}` makes room for a new one; "
                      "\"repairBridge\": true in `delegate` does so by itself",
                      address.to_text(), link.name));
    }
    host.remove_address(link.index, address);
  }
  // Its own MAC, given to it: otherwise it has the lowest of its ports', which changes as they come
  // and go; it has one since the container is a port. Before the address: whoever finds that there
  // looks no further.
  if (!wanted.ip.is_v4()) {  // off where it is off by default on the host; else the kernel refuses
    set_sysctl("net/ipv6/conf/" + link.name + "/disable_ipv6", "0");
  }
  const std::optional<LinkInfo> now = host.find(link.name);
  host.set_mac(link.index, now ? now->mac : link.mac);
  host.add_address(link.index, wanted);
}

}  // namespace

std::vector<Prefix> plan_gateways(const BridgeConfig& config, AddResult& result) {
  std::vector<Prefix> gateways;
  for (ResultIp& ip : result.ips) {
    const Family family = ip.address.family();
    ip.interface = kContainerInterface;
    if (!ip.gateway && config.gateway) {
      ip.gateway = IpAddr::from_number(family, ip.address.masked().ip.number() + 1);
    }
    if (ip.gateway && ip.gateway->family() != family) {
      throw_error(Code::invalid_config, "gateway {} is of another family than address {}",
                  ip.gateway->to_text(), ip.address.to_text());
    }
    if (config.gateway && !ip.address.contains(*ip.gateway)) {
      throw_error(Code::invalid_config, "gateway {} is outside of the container's subnet {}",
                  ip.gateway->to_text(), ip.address.masked().to_text());
    }
    if (config.default_gateway && !has_default_route(result, family)) {
      result.routes.push_back({.dst = default_destination(family), .gw = ip.gateway});
    }
    if (config.gateway) {
      gateways.push_back({*ip.gateway, ip.address.length});
    }
  }
  // IPv4 first: it is what the other end's complaint would be about.
  std::stable_partition(gateways.begin(), gateways.end(),
                        [](const Prefix& gateway) { return gateway.ip.is_v4(); });
  return gateways;
}

void ensure_gateways(LinkSocket& host, const BridgeConfig& config, const LinkInfo& link,
                     const std::vector<Prefix>& gateways) {
  for (const Prefix& gateway : gateways) {
    ensure_address(host, config, link, gateway);
    const std::string name =
        gateway.ip.is_v4() ? "net/ipv4/ip_forward" : "net/ipv6/conf/all/forwarding";
    if (!gateway.ip.is_v4() && read_file("/proc/sys/" + name) != "1\n") {
      keep_router_advertisements();
    }
    if (!set_sysctl(name, "1")) {
      throw_error(Code::internal, "failed to enable forwarding: {} is not 1 and cannot be set",
                  name);
    }
  }
}

}  // namespace flannel::cni

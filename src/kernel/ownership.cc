#include "kernel/ownership.h"

#include <linux/rtnetlink.h>

#include <algorithm>

#include "base/printable.h"

namespace flannel {

bool owns_link(const Scope& scope, const Link& link) {
  if (!scope.alias.empty() && link.alias == scope.alias) {
    return true;
  }
  const bool our_name =
      std::find(scope.links.begin(), scope.links.end(), link.key.name) != scope.links.end();
  return our_name && std::holds_alternative<Vxlan>(link.kind);
}

std::string explain_foreign(const Link& there) {
  if (const OtherKind* other = std::get_if<OtherKind>(&there.kind)) {
    return fmt::format("{} is a device of another kind{}, which flannel did not make: rename it",
                       there.key.name.text(),
                       other->kind.empty() ? "" : " (" + printable(other->kind) + ")");
  }
  return {};
}

bool has_same_vni(const Link& there, const Link& ours) {
  const Vxlan* a = std::get_if<Vxlan>(&there.kind);
  const Vxlan* b = std::get_if<Vxlan>(&ours.kind);
  return a != nullptr && b != nullptr && a->vni == b->vni && a->port == b->port &&
         a->local.family() == b->local.family();
}

std::string explain_same_vni(const Link& there) {
  const Vxlan& vxlan = std::get<Vxlan>(there.kind);
  return fmt::format(
      "{} has VNI {} and port {} too: remove it, or give this network a VNI of its own",
      printable(there.key.name.text()), vxlan.vni, vxlan.port);
}

bool owns_address(const Scope& scope, bool on_our_link, const Address& address) {
  const IpAddr& ip = address.key.prefix.ip;
  return on_our_link && in_our_networks(scope, {ip, static_cast<std::uint8_t>(ip.bits())});
}

bool owns_neighbour(const Scope& scope, bool on_our_link, bool permanent,
                    const Neighbour& neighbour) {
  const IpAddr& ip = neighbour.key.ip;
  return on_our_link && permanent &&
         in_our_networks(scope, {ip, static_cast<std::uint8_t>(ip.bits())});
}

bool owns_fdb_entry(bool on_our_link, bool permanent, const FdbEntry& entry) {
  return on_our_link && permanent && !entry.key.mac.is_zero();
}

bool owns_nexthop(const Scope& scope, std::uint8_t protocol, const Nexthop& nexthop) {
  return protocol == kRouteProtocol && nexthop.key.id >= scope.first_nexthop &&
         nexthop.key.id - scope.first_nexthop < kNexthopIds;
}

bool in_our_networks(const Scope& scope, const Prefix& dst) {
  return std::any_of(scope.networks.begin(), scope.networks.end(),
                     [&](const Prefix& network) { return network.contains(dst); });
}

bool is_left_by_reference(const Scope& scope, const Route& route) {
  return route.protocol == RTPROT_BOOT && route.via && in_our_networks(scope, route.key.dst);
}

bool gives_way(std::uint8_t protocol) {
  return protocol == kRouteProtocol || protocol == RTPROT_BOOT || protocol == RTPROT_STATIC;
}

bool owns_route(const Scope& scope, bool on_our_link, const Route& route) {
  if (route.type == RTN_BLACKHOLE) {
    const bool of_node = std::ranges::find(scope.subnets, route.key.dst) != scope.subnets.end();
    return (route.protocol == kRouteProtocol && in_our_networks(scope, route.key.dst)) ||
           (route.protocol == RTPROT_BOOT && of_node);
  }
  if (route.type != RTN_UNICAST) {
    return false;
  }
  if (route.protocol == kRouteProtocol) {
    return on_our_link || in_our_networks(scope, route.key.dst);
  }
  return (on_our_link && gives_way(route.protocol) && in_our_networks(scope, route.key.dst)) ||
         (scope.adopt_stale && is_left_by_reference(scope, route));
}

}  // namespace flannel

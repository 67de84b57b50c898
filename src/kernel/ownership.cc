#include "kernel/ownership.h"

#include <linux/rtnetlink.h>

#include <algorithm>

namespace flannel {

bool owns_link(const Scope& scope, const Link& link) {
  const bool our_name =
      std::find(scope.links.begin(), scope.links.end(), link.key.name) != scope.links.end();
  return our_name || (!scope.alias.empty() && link.alias == scope.alias);
}

bool owns_address(bool on_our_link, const Address& address) {
  return on_our_link && !(address.key.prefix.ip.is_link_local() && !address.key.prefix.ip.is_v4());
}

bool owns_neighbour(bool on_our_link, bool permanent, const Neighbour& neighbour) {
  return on_our_link && permanent && !neighbour.key.ip.is_multicast();
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

bool owns_route(const Scope& scope, bool on_our_link, const Route& route) {
  return (route.protocol == kRouteProtocol && in_our_networks(scope, route.key.dst)) ||
         (on_our_link && route.protocol != RTPROT_KERNEL) ||
         (scope.adopt_stale && is_left_by_reference(scope, route));
}

}  // namespace flannel

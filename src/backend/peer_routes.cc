#include "backend/peer_routes.h"

#include <algorithm>

#include "base/hash.h"

namespace flannel {
namespace {

// What the kernel gives an IPv6 route without a metric (IP6_RT_PRIO_USER).
constexpr std::uint32_t kIpv6Metric = 1024;

}  // namespace

PeerRoutes::PeerRoutes(const Node& node, std::size_t peers)
    : node_(node), use_nexthops_(node.nexthops.enabled), first_id_(node.scope.first_nexthop) {
  routes_.reserve(peers);
  if (!use_nexthops_) {
    return;
  }
  nexthops_.reserve(peers);
  taken_.resize(kNexthopIds);
  for (const std::uint32_t id : node.nexthops.taken) {
    taken_[id - first_id_] = true;
  }
}

// Ids must not depend on when a peer came, or a restart would change them: a hash of the subnet,
// and the next free one where two collide.
std::uint32_t PeerRoutes::free_id(const Prefix& subnet) {
  const std::array<std::uint8_t, 16> bytes = subnet.ip.bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), subnet.ip.size());
  std::size_t at = (stable_hash(text) + subnet.length) % kNexthopIds;
  while (taken_[at]) {
    at = (at + 1) % kNexthopIds;
  }
  taken_[at] = true;
  return first_id_ + static_cast<std::uint32_t>(at);
}

Result<void> PeerRoutes::add_direct(const Prefix& subnet, const IpAddr& node, Over over) {
  const auto found = node_.paths.find(node);
  if (found == node_.paths.end() || found->second.dev.empty()) {
    return fail("there is no way to {}", node.to_text());
  }
  const Path& path = found->second;
  if (path.via) {
    return fail("{} is not on a link of ours, it is reached by way of {}", node.to_text(),
                path.via->to_text());
  }
  const std::vector<Dev>& tunnels = node_.scope.links;
  if (path.dev == "lo" || std::find(tunnels.begin(), tunnels.end(), path.dev) != tunnels.end()) {
    return fail("{} is reached by way of {}", node.to_text(), path.dev.text());
  }
  if (over == Over::shared_links && !path.shared_link) {
    return fail("{} is reached by {}, which is point-to-point or without ARP", node.to_text(),
                path.dev.text());
  }
  add(subnet, node, path.dev, false);
  return {};
}

void PeerRoutes::add(const Prefix& subnet, const IpAddr& via, const Dev& dev, bool onlink) {
  Route route;
  route.key = {subnet, subnet.family() == Family::v4 ? 0 : kIpv6Metric};
  if (use_nexthops_) {
    route.nexthop = free_id(subnet);
    nexthops_.push_back({{route.nexthop}, via, dev, onlink});
  } else {
    route.via = via;
    route.dev = dev;
    route.onlink = onlink;
  }
  routes_.push_back(route);
}

void PeerRoutes::finish(NetState& state) {
  state.nexthops = Table<Nexthop>(std::move(nexthops_));
  state.routes = Table<Route>(std::move(routes_));
}

}  // namespace flannel

#include "backend/peer_routes.h"

#include <algorithm>

#include "base/hash.h"

namespace flannel {
namespace {

// What the kernel gives an IPv6 route without a metric (IP6_RT_PRIO_USER).
constexpr std::uint32_t kIpv6Metric = 1024;

}  // namespace

PeerRoutes::PeerRoutes(const Node& node, std::size_t peers)
    : node_(node),
      use_nexthops_(node.nexthops.enabled),
      unusable_ids_(node.nexthops.taken),
      first_id_(node.scope.first_nexthop) {
  routes_.reserve(peers);
  if (use_nexthops_) {
    nexthops_.reserve(peers);
    taken_.resize(kNexthopIds);
  }
}

// Ids must not depend on when a peer came, or a restart would change them: a hash of the subnet.
// Nobody has one that two subnets share: whoever comes must not take the id of one that is there,
// whose packets would go astray until its own route is moved.
std::uint32_t PeerRoutes::id_of(const Prefix& subnet) {
  const std::array<std::uint8_t, 16> bytes = subnet.ip.bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), subnet.ip.size());
  const std::size_t at = (stable_hash(text) + subnet.length) % kNexthopIds;
  const std::uint32_t id = first_id_ + static_cast<std::uint32_t>(at);
  if (taken_[at]) {
    unusable_ids_.push_back(id);
  }
  taken_[at] = true;
  return id;
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
    route.nexthop = id_of(subnet);
    nexthops_.push_back({{route.nexthop}, via, dev, onlink});
  } else {
    route.via = via;
    route.dev = dev;
    route.onlink = onlink;
  }
  routes_.push_back(route);
}

// Routes whose nexthop ids cannot be used get a path of their own.
void PeerRoutes::make_plain_where_needed() {
  std::sort(unusable_ids_.begin(), unusable_ids_.end());
  const auto unusable = [this](std::uint32_t id) {
    return std::binary_search(unusable_ids_.begin(), unusable_ids_.end(), id);
  };
  for (std::size_t i = 0; i < nexthops_.size(); ++i) {  // each is that of the i-th route
    if (unusable(routes_[i].nexthop)) {
      routes_[i].nexthop = 0;
      routes_[i].via = nexthops_[i].via;
      routes_[i].dev = nexthops_[i].dev;
      routes_[i].onlink = nexthops_[i].onlink;
    }
  }
  std::erase_if(nexthops_, [&](const Nexthop& nexthop) { return unusable(nexthop.key.id); });
}

void PeerRoutes::finish(NetState& state) {
  if (!unusable_ids_.empty()) {
    make_plain_where_needed();
  }
  state.nexthops = Table<Nexthop>(std::move(nexthops_));
  state.routes = Table<Route>(std::move(routes_));
}

}  // namespace flannel

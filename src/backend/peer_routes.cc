#include "backend/peer_routes.h"

#include <algorithm>

#include "base/hash.h"

namespace flannel {
namespace {

// What the kernel gives an IPv6 route without a metric (IP6_RT_PRIO_USER).
constexpr std::uint32_t kIpv6Metric = 1024;

}  // namespace

std::uint32_t nexthop_id(const Scope& scope, const Prefix& subnet) {
  const std::array<std::uint8_t, 16> bytes = subnet.ip.bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), subnet.ip.size());
  const std::size_t at = (stable_hash(text) + subnet.length) % kNexthopIds;
  return scope.first_nexthop + static_cast<std::uint32_t>(at);
}

PeerRoutes::PeerRoutes(const Node& node, std::size_t peers) : node_(node) {
  routes_.reserve(peers);
  nexthops_.reserve(node.nexthops.enabled ? peers : 0);
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
  if (node_.nexthops.enabled) {
    route.nexthop = nexthop_id(node_.scope, subnet);
    nexthops_.push_back({{route.nexthop}, via, dev, onlink});
  } else {
    route.via = via;
    route.dev = dev;
    route.onlink = onlink;
  }
  routes_.push_back(route);
}

// Of those that were added, in order. Nobody has an id that two subnets share: whoever comes must
// not take that of one that is there, whose packets would go astray until its own route is moved.
std::vector<std::uint32_t> PeerRoutes::unusable_ids(const Table<Nexthop>& by_id) const {
  std::vector<std::uint32_t> ids;
  if (by_id.size() < nexthops_.size()) {
    std::vector<std::uint32_t> all(nexthops_.size());
    std::ranges::transform(nexthops_, all.begin(), [](const Nexthop& row) { return row.key.id; });
    std::ranges::sort(all);
    for (auto at = all.begin(); (at = std::adjacent_find(at, all.end())) != all.end(); ++at) {
      ids.push_back(*at);
    }
  }
  std::ranges::copy_if(node_.nexthops.taken, std::back_inserter(ids),
                       [&](std::uint32_t id) { return by_id.find({id}) != nullptr; });
  std::ranges::sort(ids);
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return ids;
}

// Routes whose nexthop ids cannot be used get a path of their own.
void PeerRoutes::make_plain(const std::vector<std::uint32_t>& unusable) {
  const auto is_unusable = [&](std::uint32_t id) {
    return std::ranges::binary_search(unusable, id);
  };
  for (std::size_t i = 0; i < nexthops_.size(); ++i) {  // each is that of the i-th route
    if (is_unusable(routes_[i].nexthop)) {
      routes_[i].nexthop = 0;
      routes_[i].via = nexthops_[i].via;
      routes_[i].dev = nexthops_[i].dev;
      routes_[i].onlink = nexthops_[i].onlink;
    }
  }
  std::erase_if(nexthops_, [&](const Nexthop& nexthop) { return is_unusable(nexthop.key.id); });
}

void PeerRoutes::finish(Plan& plan) {
  plan.state.of<Nexthop>() = Table<Nexthop>(nexthops_);
  plan.unusable_ids = unusable_ids(plan.state.of<Nexthop>());
  if (!plan.unusable_ids.empty()) {
    make_plain(plan.unusable_ids);
    plan.state.of<Nexthop>() = Table<Nexthop>(std::move(nexthops_));
  }
  plan.state.of<Route>() = Table<Route>(std::move(routes_));
}

}  // namespace flannel

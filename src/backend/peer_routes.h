// Routes to peers' subnets, through one nexthop object a peer where these are used.
//
// `route … via GW onlink` is quadratic in the kernel: every such route has a fib_info of its own,
// all on one hash chain. Through nexthops 10,000 routes take 0.1 s instead of 2 s, and a peer that
// moves is one atomic replace. See docs/design.md, "Scale".
#pragma once

#include <cstdint>
#include <vector>

#include "backend/backend.h"
#include "kernel/net_state.h"

namespace flannel {

// The id of the nexthop object to `subnet`, unless another peer's subnet or somebody else has the
// same. It must not depend on when a peer came, or a restart would change it: a hash of the subnet.
std::uint32_t nexthop_id(const Scope& scope, const Prefix& subnet);

class PeerRoutes {
 public:
  // For about `peers` routes.
  explicit PeerRoutes(const Node& node, std::size_t peers = 0);

  // A VPN's link (Path::shared_link) drops pods' packets unless its other end is configured
  // for their subnets, of which the kernel knows nothing. With a tunnel there is another way;
  // without, as with WireGuard's AllowedIPs or a GRE link to the very node, the operator may have
  // seen to it.
  enum class Over { shared_links, all_links };
  // A route to `subnet` by way of the node itself. Error: it is not on such a link of ours.
  Result<void> add_direct(const Prefix& subnet, const IpAddr& node, Over over);
  // A route to `subnet` by way of `via` on `dev`.
  void add(const Prefix& subnet, const IpAddr& via, const Dev& dev, bool onlink);

  // Moves what was added into `plan`.
  void finish(Plan& plan);

 private:
  std::vector<std::uint32_t> unusable_ids(const Table<Nexthop>& by_id) const;
  void make_plain(const std::vector<std::uint32_t>& unusable);

  const Node& node_;
  std::vector<Nexthop> nexthops_;
  std::vector<Route> routes_;
};

}  // namespace flannel

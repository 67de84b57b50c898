#include "daemon/peer_states.h"

#include <algorithm>
#include <cstdint>
#include <set>
#include <string_view>

namespace flannel {
namespace {

ObjectState state_of(const Reconciler& reconciler, const Prefix& subnet) {
  const Route* route = reconciler.wanted().of<Route>().find_last({subnet, UINT32_MAX, UINT32_MAX});
  return route != nullptr && route->key.dst == subnet ? reconciler.state_of(*route)
                                                      : ObjectState::pending;
}

// A peer is as good as its routes, which come last of all that it needs.
ObjectState state_of(const Reconciler& reconciler, const LeaseKey& peer) {
  ObjectState worst = ObjectState::present;
  for (const Family family : kFamilies) {
    if (const std::optional<Prefix>& subnet = peer.family(family)) {
      worst = std::max(worst, state_of(reconciler, *subnet));
    }
  }
  return worst;
}

}  // namespace

std::vector<PeerState> peer_states(const DaemonState& state) {
  const bool makes_routes = state.overlay->traits.makes_routes;
  std::set<std::string_view> skipped;
  for (const Refused& peer : state.planner->skipped()) {
    skipped.insert(peer.name);
  }
  std::vector<PeerState> states;
  states.reserve(state.peers()->usable_count());
  for (const Lease* peer : state.peers()->usable()) {
    if (skipped.empty() || !skipped.contains(to_text(peer->key))) {
      states.push_back(
          {peer, makes_routes ? state_of(*state.reconciler, peer->key) : ObjectState::present});
    }
  }
  return states;
}

std::string_view to_text(ObjectState state) {
  switch (state) {
    case ObjectState::present:
      return "ok";
    case ObjectState::pending:
      return "pending";
    case ObjectState::failed:
      break;
  }
  return "failed";
}

}  // namespace flannel

#include "daemon/planner.h"

#include <algorithm>
#include <iterator>

#include "base/printable.h"

namespace flannel {

bool Planner::invalidate_paths(const HostChanges& changes) {
  const bool any = paths_.invalidate(changes);
  if (any) {
    changes_.add_all();
  }
  return any;
}

NexthopUse Planner::nexthops(const Snapshot& kernel) const {
  const bool use = nexthop_choice_.use(inputs_.peers.usable_count(), kernel.ours);
  return {kernel.nexthops_supported && use, kernel.taken_nexthops};
}

Plan Planner::plan_for(PeerList peers, const Paths& paths, NexthopUse nexthops) const {
  const Node node{
      inputs_.overlay.config, inputs_.external, inputs_.own, inputs_.overlay.scope, paths,
      std::move(nexthops)};
  return inputs_.overlay.backend->plan(node, peers);
}

Plan Planner::plan_for_all(const Snapshot& kernel) {
  const std::vector<const Lease*> peers = inputs_.peers.usable();
  const PathCache::Clock::time_point now = PathCache::Clock::now();
  const Paths& paths =
      inputs_.overlay.traits.uses_paths ? paths_.paths_to(peers, host_, now) : paths_.known();
  Plan plan = plan_for(peers, paths, nexthops(kernel));
  plan_traffic(inputs_.overlay.config, inputs_.own.key, traffic_, plan.state);
  return plan;
}

NetState Planner::plan(const Snapshot& kernel) {
  Plan plan = plan_for_all(kernel);
  changes_.clear();
  nexthops_ = nexthops(kernel);
  unusable_ids_ = std::move(plan.unusable_ids);
  skipped_ = std::move(plan.skipped);
  log_refusals();
  return std::move(plan.state);
}

void Planner::log_refusals() {
  std::set<std::string> now;
  const auto add = [&now](std::span<const Refused> peers, std::string_view what) {
    for (const Refused& peer : peers) {
      now.insert(
          fmt::format("peer {} is {}: {}", printable(peer.name), what, printable(peer.reason)));
    }
  };
  add(inputs_.peers.refused(), "refused");
  add(skipped_, "skipped");
  refusals_.set(now);
}

NetState Planner::preview(const Snapshot& kernel) {
  return plan_for_all(kernel).state;
}

std::optional<PlanDelta> Planner::plan_changes(const Snapshot& kernel) {
  NexthopUse use = nexthops(kernel);
  if (changes_.all() || use != nexthops_) {
    return std::nullopt;
  }
  // Whose id another peer has as well is no matter of one peer.
  std::ranges::copy(unusable_ids_, std::back_inserter(use.taken));
  const std::vector<const Lease*> gone = changes_.gone(), come = changes_.come(inputs_.peers);
  const Paths& paths =
      inputs_.overlay.traits.uses_paths ? paths_.paths_to_more(come, host_) : paths_.known();
  Plan before = plan_for(gone, paths, use), after = plan_for(come, paths, use);
  if (!before.skipped.empty() || !after.skipped.empty() || !before.unusable_ids.empty() ||
      !after.unusable_ids.empty()) {
    return std::nullopt;
  }
  changes_.clear();
  return PlanDelta{std::move(before.state), std::move(after.state)};
}

}  // namespace flannel

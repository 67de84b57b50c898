#include "daemon/planner.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <iterator>
#include <map>

#include "backend/peer_routes.h"
#include "base/printable.h"

namespace flannel {
namespace {

std::set<std::uint32_t> nexthop_ids(const Scope& scope, PeerList peers) {
  std::set<std::uint32_t> ids;
  for (const Lease* peer : peers) {
    for (const Family family : kFamilies) {
      if (const std::optional<Prefix>& subnet = peer->key.family(family)) {
        ids.insert(nexthop_id(scope, *subnet));
      }
    }
  }
  return ids;
}

// Where settings cannot be written, takes those out of `wanted` that the overlay works without, and
// says which of them are not as wanted. The others stay: they are tried, and refused by name.
std::vector<std::string> leave_out_fixed(const Snapshot& kernel, Table<Sysctl>& wanted) {
  std::vector<std::string> texts;
  if (!kernel.fixed_settings) {
    return texts;
  }
  wanted.remove_if([&](const Sysctl& row) {
    const Sysctl* const now = kernel.ours.of<Sysctl>().find(row.key);
    const std::string& value = now != nullptr ? now->value : kernel.fixed_settings->accept_ra;
    if (is_protection(row) && value != row.value) {
      texts.push_back(fmt::format(
          "router advertisements are not kept off {}: net.ipv6.conf.{}.{} is {} and cannot be set "
          "to {} here ({}); `{}` on the host does it",
          row.key.dev.text(), row.key.dev.text(), row.key.name, printable(value), row.value,
          kernel.fixed_settings->reason, row.text()));
    }
    return is_protection(row);
  });
  return texts;
}

// One entry a lease, by name: a backend says of each family that it cannot be used.
std::vector<Refused> one_a_lease(std::span<const Refused> skipped) {
  std::map<std::string, std::set<std::string>> reasons;
  for (const Refused& peer : skipped) {
    reasons[peer.name].insert(peer.reason);
  }
  std::vector<Refused> out;
  for (const auto& [name, all] : reasons) {
    out.push_back({name, fmt::format("{}", fmt::join(all, "; "))});
  }
  return out;
}

}  // namespace

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
  plan_traffic(inputs_.overlay.config, inputs_.own.key, traffic_, kernel.rules_suffix, plan.state);
  return plan;
}

NetState Planner::plan(const Snapshot& kernel) {
  Plan plan = plan_for_all(kernel);
  changes_.clear();
  nexthops_ = nexthops(kernel);
  unusable_ids_ = {plan.unusable_ids.begin(), plan.unusable_ids.end()};
  skipped_ = one_a_lease(plan.skipped);
  unprotected_ = leave_out_fixed(kernel, plan.state.of<Sysctl>());
  log_warnings();
  return std::move(plan.state);
}

void Planner::log_warnings() {
  std::set<std::string> now(unprotected_.begin(), unprotected_.end());
  const auto add = [&now](std::span<const Refused> peers, std::string_view what) {
    for (const Refused& peer : peers) {
      now.insert(
          fmt::format("peer {} is {}: {}", printable(peer.name), what, printable(peer.reason)));
    }
  };
  add(inputs_.peers.refused(), "refused");
  add(skipped_, "skipped");
  warnings_.set(now);
}

NetState Planner::preview(const Snapshot& kernel) {
  Plan plan = plan_for_all(kernel);
  leave_out_fixed(kernel, plan.state.of<Sysctl>());
  return std::move(plan.state);
}

// The peers that did not change and have a nexthop id of one that did: hardly ever any, so that
// they are looked for only where `have`, which is as planned last, or unusable_ids_ says so.
std::vector<const Lease*> Planner::sharing_ids(PeerList gone, PeerList come,
                                               const NetState& have) const {
  const Scope& scope = inputs_.overlay.scope;
  const std::set<std::uint32_t> before = nexthop_ids(scope, gone), after = nexthop_ids(scope, come);
  const auto is_shared = [this](std::uint32_t id) { return unusable_ids_.contains(id); };
  const auto is_anothers = [&](std::uint32_t id) {
    return is_shared(id) || (!before.contains(id) && have.of<Nexthop>().find({id}) != nullptr);
  };
  std::vector<const Lease*> sharing;
  if (std::ranges::none_of(before, is_shared) && std::ranges::none_of(after, is_anothers)) {
    return sharing;
  }
  const auto has_id = [&](const std::optional<Prefix>& subnet) {
    const std::uint32_t id = subnet ? nexthop_id(scope, *subnet) : 0;
    return before.contains(id) || after.contains(id);
  };
  for (const Lease* peer : inputs_.peers.usable()) {
    const bool changed = std::ranges::find(come, peer) != come.end();
    if (!changed && (has_id(peer->key.v4) || has_id(peer->key.v6))) {
      sharing.push_back(peer);
    }
  }
  return sharing;
}

std::optional<PlanDelta> Planner::plan_changes(const Snapshot& kernel) {
  const NexthopUse use = nexthops(kernel);
  if (changes_.all() || use != nexthops_) {
    return std::nullopt;
  }
  std::vector<const Lease*> gone = changes_.gone(), come = changes_.come(inputs_.peers);
  const Paths& paths =
      inputs_.overlay.traits.uses_paths ? paths_.paths_to_more(come, host_) : paths_.known();
  const std::vector<const Lease*> sharing = sharing_ids(gone, come, kernel.ours);
  std::ranges::copy(sharing, std::back_inserter(gone));
  std::ranges::copy(sharing, std::back_inserter(come));
  Plan before = plan_for(gone, paths, use), after = plan_for(come, paths, use);
  if (!before.skipped.empty() || !after.skipped.empty()) {
    return std::nullopt;
  }
  for (const std::uint32_t id : before.unusable_ids) {
    unusable_ids_.erase(id);
  }
  unusable_ids_.insert(after.unusable_ids.begin(), after.unusable_ids.end());
  changes_.clear();
  return PlanDelta{std::move(before.state), std::move(after.state)};
}

}  // namespace flannel

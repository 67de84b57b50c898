// What the kernel should have: the backend's plan for the peers, for all of them or for those alone
// that changed, and what the node does with its own pods' traffic, which no peer changes.
#pragma once

#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "daemon/overlay.h"
#include "daemon/path_cache.h"
#include "daemon/standing_warnings.h"
#include "daemon/traffic.h"
#include "network/peer_changes.h"
#include "reconcile/diff.h"

namespace flannel {

class Planner {
 public:
  // What a plan follows from, as it is at any moment.
  struct Inputs {
    const Overlay& overlay;
    const ExternalInterface& external;
    const Lease& own;
    const Peers& peers;
  };

  // `inputs` and `host` outlive this object.
  Planner(Inputs inputs, NexthopChoice nexthop_choice, TrafficOptions traffic, HostNetwork& host)
      : inputs_(inputs),
        nexthop_choice_(nexthop_choice),
        traffic_(std::move(traffic)),
        host_(host) {}

  void peers_changed(const PeersDelta& delta) { changes_.add(delta); }
  // The overlay is another, and what is to be done with pods' traffic.
  void overlay_changed(TrafficOptions traffic) {
    traffic_ = std::move(traffic);
    changes_.add_all();
  }
  // Invalidates the paths that `changes` may have changed; true where that is anything.
  bool invalidate_paths(const HostChanges& changes);

  // For all peers. Logs which of them are refused or skipped, and unprotected(), each once.
  NetState plan(const Snapshot& kernel);
  // How that differs from what this or plan() gave last, from the peers alone that changed.
  // Nothing where a full plan is needed: many have changed, or something is refused or skipped.
  std::optional<PlanDelta> plan_changes(const Snapshot& kernel);
  // As plan(), but the state for plan_changes() and the log stays as it is.
  NetState preview(const Snapshot& kernel);

  // Peers that the backend cannot use.
  const std::vector<Refused>& skipped() const { return skipped_; }
  // Settings that protect and are not as they should be, and that nobody here may write: they are
  // not planned. A sentence each.
  const std::vector<std::string>& unprotected() const { return unprotected_; }

 private:
  NexthopUse nexthops(const Snapshot& kernel) const;
  Plan plan_for(PeerList peers, const Paths& paths, NexthopUse nexthops) const;
  Plan plan_for_all(const Snapshot& kernel);
  std::vector<const Lease*> sharing_ids(PeerList gone, PeerList come, const NetState& have) const;
  void log_warnings();

  const Inputs inputs_;
  const NexthopChoice nexthop_choice_;
  TrafficOptions traffic_;
  HostNetwork& host_;
  PathCache paths_;
  PeerChanges changes_;                   // since the last plan
  NexthopUse nexthops_;                   // of the last plan
  std::set<std::uint32_t> unusable_ids_;  // as Plan has them, of the last plan
  std::vector<Refused> skipped_;
  std::vector<std::string> unprotected_;
  StandingWarnings warnings_;
};

}  // namespace flannel

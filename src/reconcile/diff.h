// The steps that make one kernel state into another: a pure function of two values.
#pragma once

#include <optional>
#include <vector>

#include "kernel/net_state.h"

namespace flannel {

// The ops that turn `have` into `want`; empty when they agree.
//
// Puts first, down the tables: a path is complete before its route appears. Then removals, back up
// the tables: nothing in use is taken away. What cannot be changed in place, as most of a link, is
// removed before all else and added in its turn, and what needed it counts as gone, as the kernel
// will see to it; so do the neighbours of a link that gets another MAC. Settings are not removed.
std::vector<Op> diff(const NetState& want, const NetState& have);

// What changed of a plan: rows as they were, and rows as they are now. One that is in both stays.
struct PlanDelta {
  NetState gone;
  NetState come;
};

// The ops that follow, where the kernel is as `planned` before. Nothing where only a new plan
// tells: a row comes in the place of one that does not go, one goes that is not as it was planned,
// or devices and addresses, which all peers share, are others.
std::optional<std::vector<Op>> ops_of(const PlanDelta& delta, const NetState& planned);

}  // namespace flannel

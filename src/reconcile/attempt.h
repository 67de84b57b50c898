// One attempt at the ops of a pass: what is held down, or needs what could not be had, is not
// tried.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <vector>

#include "kernel/kernel.h"
#include "reconcile/hold_down.h"

namespace flannel {

struct Outcome {
  OpResult result;       // EBUSY where the object is held down, ECANCELED where the op waits
  unsigned repairs = 0;  // where it is held down: how often it was put back, in a row
  // The op, by its place, that failed and without which this one cannot succeed.
  std::optional<std::size_t> waits_for;
};

// Applies `ops`, which are in the order of diff(), and returns what became of each. A device that
// cannot be made, or a nexthop, is one failure, and not as many as there are peers.
std::vector<Outcome> attempt(Kernel& kernel, std::span<const Op> ops, const HoldDown& hold_down,
                             HoldDown::Clock::time_point now);

}  // namespace flannel

// One attempt at the ops of a pass: what is held down, or needs what could not be had, is not
// tried.
#pragma once

#include <cerrno>
#include <chrono>
#include <optional>
#include <span>
#include <vector>

#include "kernel/kernel.h"
#include "reconcile/hold_down.h"
#include "reconcile/pending.h"

namespace flannel {

struct Outcome {
  // EBUSY where the object is held down, ECANCELED where the op waits; pending also where an op of
  // the object was pending before, and this one was not tried.
  OpResult result;
  bool begun = false;    // it is pending and was not before
  unsigned repairs = 0;  // where it is held down: how often it was put back, in a row
  // The op, by its place, that failed or is pending, and without which this one cannot succeed.
  std::optional<std::size_t> waits_for;
};

// Whether trying the op again between passes is of no use: the route that is in the way of another
// tells when it goes, and where settings cannot be written that lasts; they are listed again soon.
inline bool waits_for_pass(const Op& op, int error) {
  return (error == EEXIST && std::holds_alternative<Route>(op.object)) ||
         (is_fixed(error) && std::holds_alternative<Sysctl>(op.object));
}

// Applies `ops`, which are in the order of diff(), and returns what became of each. A device that
// cannot be made, or a nexthop, is one failure, and not as many as there are peers. `pending` has
// those begun earlier.
std::vector<Outcome> attempt(Kernel& kernel, std::span<const Op> ops, const HoldDown& hold_down,
                             const PendingOps& pending, HoldDown::Clock::time_point now);

}  // namespace flannel

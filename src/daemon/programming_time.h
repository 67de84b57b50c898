// How long it takes from a change of who the peers are until the kernel has it.
#pragma once

#include <chrono>
#include <optional>
#include <utility>

#include "base/histogram.h"

namespace flannel {

class ProgrammingTime {
 public:
  using Clock = std::chrono::steady_clock;

  // The peers are others from now on.
  void peers_changed(Clock::time_point now) { since_ = since_.value_or(now); }
  // The kernel has all that is wanted, with all changes so far: the first of them is observed, as
  // the one that took longest.
  void all_programmed(Clock::time_point now) {
    if (const auto since = std::exchange(since_, std::nullopt)) {
      seconds_.observe(std::chrono::duration<double>(now - *since).count());
    }
  }

  const Histogram& seconds() const { return seconds_; }

 private:
  std::optional<Clock::time_point> since_;
  Histogram seconds_{{0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5}};
};

}  // namespace flannel

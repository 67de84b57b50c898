// Limits which part of the time something may take, where it is short.
#pragma once

#include <algorithm>
#include <chrono>

namespace flannel {

// Each run is charged five times what it took, at least a twentieth of `most` and at most `most`.
// Runs charged twice `most` may follow each other at once, then each waits: the first events after
// quiet are answered at once, and a flood of them does not keep a processor busy.
class RateLimit {
 public:
  using Clock = std::chrono::steady_clock;

  explicit RateLimit(Clock::duration most) : most_(most) {}

  // A run has ended `now`.
  void charge(Clock::time_point began, Clock::time_point now) {
    constexpr int kShare = 5;
    charged_until_ =
        std::max(charged_until_, now) + std::clamp(kShare * (now - began), most_ / 20, most_);
  }

  // From then on the next one may begin.
  Clock::time_point next() const { return charged_until_ - 2 * most_; }

 private:
  Clock::duration most_;
  Clock::time_point charged_until_{};  // what all runs so far were charged, one after the other
};

}  // namespace flannel

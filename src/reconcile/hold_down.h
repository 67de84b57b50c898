// Hold-down: what another program keeps undoing is put back at growing intervals, and only that.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "kernel/net_state.h"

namespace flannel {

// An object that was as planned, was changed by somebody else and put back, is remembered for a
// second. Each further time within that second, or within twice its hold-down, it is held down
// twice as long. Time is passed in.
class HoldDown {
 public:
  using Clock = std::chrono::steady_clock;

  struct Entry {
    Object object;
    unsigned repairs = 0;         // in a row
    Clock::time_point last;       // of them
    Clock::duration hold_down{};  // from then on

    Clock::time_point ends() const { return last + hold_down; }
  };

  // The first hold-down and the longest.
  HoldDown(std::chrono::milliseconds first, std::chrono::milliseconds most)
      : first_(first), most_(most) {}

  // The entry of the object's key where it is held down at `now`.
  const Entry* find(const Object& object, Clock::time_point now) const;
  // These were put back at `now`.
  void repaired(std::vector<Object> objects, Clock::time_point now);
  // When the next hold-down after `now` ends; time_point::max() where there is none.
  Clock::time_point next_end(Clock::time_point now) const;

 private:
  std::chrono::milliseconds first_, most_;
  std::vector<Entry> entries_;  // by key
};

}  // namespace flannel

// The time since the machine was booted, its suspended time included.
#pragma once

#include <chrono>
#include <ctime>

namespace flannel {

// CLOCK_BOOTTIME: unlike the time of day nobody sets it, and unlike the steady clock it goes on
// while the machine is suspended, as time does for everybody else. Leases are counted by it.
struct BootClock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<BootClock>;
  static constexpr bool is_steady = true;

  static time_point now() noexcept {
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    return time_point(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
  }
};

}  // namespace flannel

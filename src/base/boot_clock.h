// The time since the machine was booted, its suspended time included.
#pragma once

#include <algorithm>
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

// The same moment by the time of day, as it is set now: for people, and for files that outlive the
// boot. What is further away than ten years is ten years away, so that nothing overflows.
inline constexpr std::chrono::hours kFarAway{24 * 365 * 10};

inline std::chrono::system_clock::time_point to_time_of_day(BootClock::time_point time) {
  const BootClock::duration left =
      std::clamp<BootClock::duration>(time - BootClock::now(), -kFarAway, kFarAway);
  return std::chrono::system_clock::now() +
         std::chrono::duration_cast<std::chrono::system_clock::duration>(left);
}

}  // namespace flannel

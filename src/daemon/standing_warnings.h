// Warnings that hold for a while, each of them logged once.
#pragma once

#include <chrono>
#include <map>
#include <set>
#include <string>

namespace flannel {

class StandingWarnings {
 public:
  using Clock = std::chrono::steady_clock;

  // Those that hold now. What is new among them goes to the log: the first few within a minute, and
  // how many more there are; the status has them all. What ends and comes again, as a lease that
  // is refused may every second, is new once in ten minutes.
  void set(const std::set<std::string>& now, Clock::time_point at = Clock::now());

 private:
  // Those that hold, and those that are not new yet: when they were logged, or Clock::time_point()
  // where they were not.
  std::map<std::string, Clock::time_point> known_;
  Clock::time_point minute_began_{};
  std::size_t logged_ = 0;  // within that minute
};

}  // namespace flannel

// Waking a loop that waits for something to do.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>

#include "base/task.h"

namespace flannel {

using Deadline = std::chrono::steady_clock::time_point;
inline constexpr Deadline kNever = Deadline::max();

// Wakes one loop, and remembers a wake-up that comes while the loop is busy. Many at once are one.
class Wake {
 public:
  explicit Wake(const asio::any_io_executor& executor) : timer_(executor) {}

  void set();
  // What was set so far is about to be dealt with.
  void clear() { set_ = false; }
  // Returns when set() was called since the last wait began to return, else at `deadline`.
  Task<void> wait(Deadline deadline = kNever);

 private:
  asio::steady_timer timer_;
  bool set_ = false;
};

}  // namespace flannel

// Waking all coroutines that wait for a condition, as a condition variable does for threads; of the
// one loop that waits for something to do, it is Wake (base/wake.h).
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <vector>

#include "base/wake.h"

namespace flannel {

class Signal {
 public:
  // Wakes everyone who waits now; remembers nothing.
  void notify();

  // Returns after notify(), at the deadline, or for no reason: look at the condition again. The
  // Signal may be gone by then.
  Task<void> wait(Deadline deadline = kNever);

 private:
  using Waiting = std::vector<asio::steady_timer*>;
  std::shared_ptr<Waiting> waiting_ = std::make_shared<Waiting>();
};

}  // namespace flannel

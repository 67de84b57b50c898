// Short waits for what the kernel does behind our back.
#pragma once

#include <algorithm>
#include <chrono>
#include <thread>

namespace flannel::cni {

// Looks at once, then after pauses that grow from 50 µs to 10 ms. False where it `is_so` not even
// when that took `limit`.
template <class Condition>
bool eventually(std::chrono::microseconds limit, Condition is_so) {
  using std::chrono::microseconds;
  microseconds waited{0};
  for (microseconds pause{50}; !is_so(); pause = std::min(2 * pause, microseconds(10'000))) {
    if (waited >= limit) {
      return false;
    }
    std::this_thread::sleep_for(pause);
    waited += pause;
  }
  return true;
}

}  // namespace flannel::cni

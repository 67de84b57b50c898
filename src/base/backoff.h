// How long to wait before trying again.
#pragma once

#include <algorithm>
#include <chrono>
#include <random>

namespace flannel {

// Doubles from `first` to `most`, each wait shortened at random by up to a quarter so that a
// cluster's nodes do not return in step. reset() after a success.
class Backoff {
 public:
  using Duration = std::chrono::milliseconds;

  explicit Backoff(Duration first = Duration(100), Duration most = Duration(30'000))
      : first_(first), most_(most), next_(first) {}

  Duration next() {
    const Duration wait = next_;
    next_ = std::min(next_ * 2, most_);
    std::uniform_int_distribution<Duration::rep> jitter(0, wait.count() / 4);
    return wait - Duration(jitter(random_));
  }

  void reset() { next_ = first_; }

 private:
  Duration first_;
  Duration most_;
  Duration next_;
  std::minstd_rand random_{std::random_device{}()};
};

}  // namespace flannel

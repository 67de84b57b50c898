// A value that is costly to make, and used again by whoever asks right after another.
#pragma once

#include <chrono>
#include <optional>

namespace flannel {

template <class T>
class Recent {
 public:
  using Clock = std::chrono::steady_clock;
  // So old it may be.
  static constexpr std::chrono::seconds kMostAge{1};

  // What `make()` returned last, where that is recent; else what it returns now.
  template <class Make>
  const T& get(Clock::time_point now, const Make& make) {
    if (!value_ || now - made_at_ >= kMostAge) {
      value_ = make();
      made_at_ = now;
    }
    return *value_;
  }
  // It may be otherwise now.
  void invalidate() { value_.reset(); }

 private:
  std::optional<T> value_;
  Clock::time_point made_at_{};
};

}  // namespace flannel

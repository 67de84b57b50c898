// A text that whoever may ask for it cannot make us make all the time.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace flannel {

class RecentText {
 public:
  using Clock = std::chrono::steady_clock;
  // So old it may be.
  static constexpr std::chrono::seconds kMostAge{1};

  // What `make()` returned last, where that is recent; else what it returns now.
  template <class Make>
  const std::string& get(Clock::time_point now, const Make& make) {
    if (!made_ || now - *made_ >= kMostAge) {
      text_ = make();
      made_ = now;
    }
    return text_;
  }

 private:
  std::string text_;
  std::optional<Clock::time_point> made_;
};

}  // namespace flannel

// A list of objects that is used again by whoever asks right after another, as at a start.
#pragma once

#include <chrono>
#include <optional>
#include <utility>
#include <vector>

namespace flannel {

// Its owner invalidates it with every notification that may be about one of them. It lasts no
// longer than a moment all the same: of what changes on a device that is down, and of settings that
// its list has, the kernel tells nobody (net/core/dev.c, netdev_state_change).
template <class T>
class RecentList {
 public:
  using Clock = std::chrono::steady_clock;

  // nullptr where they have to be listed.
  const std::vector<T>* get() const {
    return rows_ && Clock::now() < listed_at_ + kGoodFor ? &*rows_ : nullptr;
  }
  const std::vector<T>& set(std::vector<T> rows) {
    listed_at_ = Clock::now();
    return rows_.emplace(std::move(rows));
  }
  void invalidate() { rows_.reset(); }

 private:
  static constexpr std::chrono::seconds kGoodFor{1};

  std::optional<std::vector<T>> rows_;
  Clock::time_point listed_at_{};
};

}  // namespace flannel

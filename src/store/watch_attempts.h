// Attempts at following a store, one after the other.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <utility>

#include "base/backoff.h"

namespace flannel {

// When the next attempt begins, and what is said of those that fail. An attempt lasts from its
// first request until the stream of changes ends; it is connected once that stream is answered.
class WatchAttempts {
 public:
  using Clock = std::chrono::steady_clock;
  // What keeps us from the store, one sentence; empty when all is well again.
  using OnTrouble = std::function<void(const std::string&)>;

  // Between two attempts: a store that is back is noticed within this time.
  static constexpr std::chrono::seconds kMostWait{1};
  // One that was connected for less does not shorten the waits.
  static constexpr std::chrono::seconds kLasting{5};

  // `on_trouble`, which may be empty, is called where it is another than before.
  explicit WatchAttempts(OnTrouble on_trouble) : on_trouble_(std::move(on_trouble)) {}

  void begin(Clock::time_point now);
  void connected();
  bool is_connected() const { return connected_; }
  // Since it began; whether it is connected is not looked at.
  bool has_lasted(Clock::time_point now) const { return now - began_ > kLasting; }
  // It has ended: how long to wait for the next.
  Clock::duration end(Clock::time_point now);

  void set_trouble(const std::string& trouble);

 private:
  OnTrouble on_trouble_;
  std::string trouble_;
  Clock::time_point began_;
  bool connected_ = false;
  Backoff backoff_{std::chrono::milliseconds(100), kMostWait};
};

}  // namespace flannel

// Attempts at following a store, one after the other.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "base/backoff.h"

namespace flannel {

// When the next attempt begins, and what is said of those that fail. An attempt lasts from its
// first request until the stream of changes ends; it is connected once that stream is answered.
// After one that was connected and ended soon that is no proof that all is well again: it takes a
// change, or, where several ended soon in a row, kLasting.
class WatchAttempts {
 public:
  using Clock = std::chrono::steady_clock;
  // What keeps us from the store, one sentence; empty when all is well again.
  using OnTrouble = std::function<void(const std::string&)>;

  // Between two attempts: a store that is back is noticed within this time.
  static constexpr std::chrono::seconds kMostWait{1};
  // One that was connected for less does not shorten the waits.
  static constexpr std::chrono::seconds kLasting{5};
  // After answers of no use, each of which may be a list of everything.
  static constexpr std::chrono::minutes kMostWaitForSense{1};

  // `on_trouble`, which may be empty, is called where it is another than before, and in any case
  // the first time: a watch that is no more may have had a trouble.
  explicit WatchAttempts(OnTrouble on_trouble) : on_trouble_(std::move(on_trouble)) {}

  void begin(Clock::time_point now);
  void connected() { connected_ = true; }
  bool is_connected() const { return connected_; }
  bool has_trouble() const { return trouble_.has_value() && !trouble_->empty(); }
  // The stream has told of something.
  void heard() { heard_ = true; }
  // It has no trouble any more, or that one alone, if the stream proves so by `now`; else this is
  // to be called again at settles_at().
  void settle(Clock::time_point now, const std::string& trouble = "");
  Clock::time_point settles_at() const {
    return ended_soon_ > 0 && has_trouble() ? began_ + kLasting : Clock::time_point::max();
  }
  // Since it began; whether it is connected is not looked at.
  bool has_lasted(Clock::time_point now) const { return now - began_ >= kLasting; }
  // What was sent behind `position`, which is where the next attempt would go on from, cannot be
  // read. True for the second time: it begins with a list instead.
  bool is_stuck(const std::string& position, Clock::time_point now);
  // The attempt ends with the need for a list of everything. True where so did another, not long
  // ago: the waits grow.
  bool lists_again(Clock::time_point now);
  // It has ended: how long to wait for the next.
  Clock::duration end(Clock::time_point now);

  void set_trouble(const std::string& trouble);

 private:
  OnTrouble on_trouble_;
  std::optional<std::string> trouble_;  // what was said last
  Clock::time_point began_;
  bool connected_ = false;
  bool heard_ = false;
  unsigned ended_soon_ = 0;  // in a row, of those that were connected
  Backoff backoff_{std::chrono::milliseconds(100), kMostWait};
  std::string unreadable_;            // the last position of is_stuck()
  Clock::time_point listing_until_;   // when a list of everything is not "again" any more
  Clock::duration wait_for_sense_{};  // from there to the next attempt
  Backoff sense_backoff_{std::chrono::milliseconds(100), kMostWaitForSense};
};

}  // namespace flannel

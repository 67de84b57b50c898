#include "store/watch_attempts.h"

#include <algorithm>
#include <utility>

namespace flannel {

void WatchAttempts::begin(Clock::time_point now) {
  began_ = now;
  connected_ = false;
  heard_ = false;
}

void WatchAttempts::settle(Clock::time_point now, const std::string& trouble) {
  if (!connected_) {
    return;
  }
  if (has_lasted(now)) {
    ended_soon_ = 0;
  }
  if (ended_soon_ == 0 || (ended_soon_ == 1 && heard_)) {
    set_trouble(trouble);
  }
}

bool WatchAttempts::lists_again(Clock::time_point now) {
  const bool again = now <= std::exchange(listing_until_, now + 2 * kMostWaitForSense);
  if (!again) {
    sense_backoff_.reset();
  }
  wait_for_sense_ = sense_backoff_.next();
  return again;
}

bool WatchAttempts::is_stuck(const std::string& position, Clock::time_point now) {
  lists_again(now);
  return std::exchange(unreadable_, position) == position;
}

// One that was never connected was part of the wait: a host that is away swallows what we send.
WatchAttempts::Clock::duration WatchAttempts::end(Clock::time_point now) {
  const bool was_connected = std::exchange(connected_, false);
  if (was_connected) {
    ended_soon_ = has_lasted(now) ? 0 : ended_soon_ + 1;
  }
  if (was_connected && ended_soon_ == 0) {
    backoff_.reset();
  }
  const Clock::duration waited = was_connected ? Clock::duration::zero() : now - began_;
  const Clock::duration wait =
      std::max<Clock::duration>(std::exchange(wait_for_sense_, {}), backoff_.next() - waited);
  return std::max(wait, Clock::duration::zero());
}

void WatchAttempts::set_trouble(const std::string& trouble) {
  if (std::exchange(trouble_, trouble) != trouble && on_trouble_) {
    on_trouble_(trouble);
  }
}

}  // namespace flannel

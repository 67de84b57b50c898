// When the daemon believes that a peer is gone.

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <variant>

#include "base/log.h"
#include "daemon/daemon.h"

namespace flannel {
namespace {

// Of two that race, one that throws has not won: so this one does not.
struct UpdateOrFailure {
  LeaseUpdate update;
  std::exception_ptr failure;
};
Task<UpdateOrFailure> next_or_failure(LeaseWatch& watch) {
  UpdateOrFailure result;
  try {
    result.update = co_await watch.next();
  } catch (const std::exception&) {
    result.failure = std::current_exception();
  }
  co_return result;
}

}  // namespace

// Nothing when it is time to begin anew with a list, for the doubtful ones' sake.
Task<std::optional<LeaseUpdate>> Daemon::next_update(LeaseWatch& watch) {
  using namespace asio::experimental::awaitable_operators;
  if (doubtful_.empty()) {
    co_return co_await watch.next();
  }
  doubt_timer_.expires_at(doubt_ends_);
  std::variant<UpdateOrFailure, std::monostate> first =
      co_await (next_or_failure(watch) || doubt_timer_.async_wait(asio::use_awaitable));
  if (first.index() == 1) {
    co_return std::nullopt;
  }
  UpdateOrFailure& result = std::get<0>(first);
  if (result.failure) {
    std::rethrow_exception(result.failure);
  }
  co_return std::move(result.update);
}

// A list that lacks peers which nobody has seen leave: they may have left while we did not watch,
// or the store was wiped, restored or is sick. They stay until a second list, some seconds later,
// lacks them as well; a store that was wiped is filled again by then.
void Daemon::keep_the_doubtful(LeaseUpdate& update) {
  if (!update.snapshot) {
    for (const Lease& lease : update.leases) {
      doubtful_.erase(lease.key);
    }
    for (const LeaseKey& key : update.removed) {
      doubtful_.erase(key);
    }
    return;
  }
  const auto now = std::chrono::steady_clock::now();
  const bool believed = now >= doubt_ends_;
  std::set<LeaseKey> doubtful;
  bool more = false;
  for (Lease& lease : state_.peers->missing_from(update.leases)) {
    const bool known = doubtful_.contains(lease.key);
    const bool seen_leaving = leaving_.contains(lease.key);
    if (!seen_leaving && (!believed || !known)) {
      more = more || !known;
      doubtful.insert(lease.key);
      update.leases.push_back(std::move(lease));
    }
  }
  if (more) {
    doubt_ends_ = now + timing_.doubt;
    log_warning("{} lacks {} peers that nobody saw leave: they are kept until a second list",
                state_.store_name, doubtful.size());
  }
  doubtful_ = std::move(doubtful);
}

// A lease that is deleted, or expires while its node lives, is taken again within milliseconds:
// what leads to it stays for a moment. Our own is not held back, for we are the one to take it.
void Daemon::hold_departures(LeaseUpdate& update) {
  if (update.snapshot) {
    leaving_.clear();
    return;
  }
  for (const Lease& lease : update.leases) {
    leaving_.erase(lease.key);
  }
  const auto until = std::chrono::steady_clock::now() + timing_.farewell;
  std::erase_if(update.removed, [&](const LeaseKey& key) {
    return key != state_.lease->key && (leaving_.emplace(key, until), true);
  });
  leave_timer_.cancel();
}

Task<void> Daemon::see_off() {
  for (;;) {
    auto next = std::chrono::steady_clock::time_point::max();
    LeaseUpdate gone;
    for (const auto& [key, until] : leaving_) {
      if (until <= std::chrono::steady_clock::now()) {
        gone.removed.push_back(key);
      } else {
        next = std::min(next, until);
      }
    }
    for (const LeaseKey& key : gone.removed) {
      leaving_.erase(key);
    }
    if (!gone.removed.empty() && state_.peers->apply(gone)) {
      state_.reconciler->wake();
      memory_is_stale();
    }
    leave_timer_.expires_at(next);
    boost::system::error_code woken;
    co_await leave_timer_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
  }
}

}  // namespace flannel

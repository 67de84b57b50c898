// The daemon's last known state: kept while all is well, used where the store is away at the start.

#include <boost/asio/redirect_error.hpp>

#include "base/log.h"
#include "daemon/daemon.h"
#include "store/etcd_client.h"

namespace flannel {

// The store's, or the one last known where the store cannot be reached.
Task<Result<std::string>> Daemon::config_text() {
  std::string failure;
  try {
    std::optional<std::string> text = co_await store_->config();
    if (text) {
      co_return std::move(*text);
    }
    co_return fail("no network configuration in {} yet", state_.store_name);
  } catch (const EtcdCredentialsError&) {
    throw;
  } catch (const std::runtime_error& error) {
    failure = error.what();
  }
  if (recall(failure)) {
    co_return recalled_->config;
  }
  co_return fail("{}", failure);
}

bool Daemon::recall(const std::string& why) {
  if (!memory_ || !may_recall_) {
    return false;
  }
  Result<LastKnown::Memory> memory = memory_->recall();
  if (!memory) {
    return false;
  }
  log_warning("going on from the last known state of {}", utc_text(memory->time));
  recalled_ = std::move(*memory);
  state_.recalled = recalled_->time;
  store_state(StoreUse::watch, why);
  return true;
}

// False where we have other addresses now: the lease may not be ours any more.
bool Daemon::recall_lease(const LeaseAttrs& attrs) {
  const Lease& own = recalled_->own;
  if (own.attrs.public_ip != attrs.public_ip || own.attrs.public_ipv6 != attrs.public_ipv6) {
    log_warning("our addresses are not those of the last known state: waiting for the store");
    return false;
  }
  state_.lease = own;
  state_.lease->attrs = attrs;
  renew_now_ = true;  // it may have expired meanwhile
  return true;
}

// What others have changed meanwhile is not known, so nothing is removed.
void Daemon::start_from_memory() {
  state_.peers->apply({.snapshot = true, .leases = recalled_->peers});
  state_.reconciler->set_additive(true);
  start_reconciling();
}

// The store is back, and has said who is there.
Task<void> Daemon::end_of_memory() {
  if (!recalled_) {
    co_return;
  }
  const std::optional<std::string> text = co_await store_->config();
  if (text && *text != config_text_) {
    throw Fatal("the network configuration changed while the store was away: starting anew");
  }
  log_info("{} is back: the state of {} is replaced", state_.store_name, utc_text(recalled_->time));
  forget_memory();
  state_.reconciler->set_additive(false);
}

void Daemon::forget_memory() {
  recalled_.reset();
  state_.recalled.reset();
  may_recall_ = false;
}

void Daemon::memory_is_stale() {
  memory_stale_ = true;
  memory_timer_.cancel();
}

Task<void> Daemon::keep_memory() {
  for (;;) {
    if (!memory_stale_) {
      boost::system::error_code woken;
      memory_timer_.expires_at(asio::steady_timer::time_point::max());
      co_await memory_timer_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    }
    co_await sleep_for(timing_.remember_after);
    memory_stale_ = false;
    const Result<void> result = memory_->remember(
        config_text_, *state_.lease, state_.peers->usable(), std::chrono::system_clock::now());
    heap_timer_.cancel();  // that took some
    const std::string trouble = result ? "" : result.error().text;
    if (trouble != state_.memory_trouble && !trouble.empty()) {
      log_warning("the state cannot be remembered: {}", trouble);
    }
    state_.memory_trouble = trouble;
  }
}

}  // namespace flannel

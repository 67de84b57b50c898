// The daemon's last known state: kept while all is well, used where the store is away at the start.

#include <boost/asio/co_spawn.hpp>

#include "base/log.h"
#include "daemon/daemon.h"
#include "store/etcd_client.h"

namespace flannel {
namespace {

// On the writer's thread: thousands of rows, and a disk that may take its time.
Task<Result<void>> write_down(LastKnown file, LastKnown::Memory known) {
  co_return file.remember(known.config, known.own, known.peers, known.time);
}

}  // namespace

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

// Nothing where we have other addresses now: the lease may not be ours any more.
std::optional<Lease> Daemon::recalled_lease(const LeaseAttrs& attrs) {
  const Lease& own = recalled_->own;
  if (own.attrs.public_ip != attrs.public_ip || own.attrs.public_ipv6 != attrs.public_ipv6) {
    log_warning("our addresses are not those of the last known state: waiting for the store");
    return std::nullopt;
  }
  Lease lease = own;
  lease.attrs = attrs;
  return lease;
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

Task<void> Daemon::keep_memory() {
  for (;;) {
    co_await memory_stale_.wait();
    co_await sleep_for(timing_.remember_after);
    memory_stale_.clear();
    const Result<void> result =
        co_await asio::co_spawn(*writer_, write_down(*memory_, knowledge()), asio::use_awaitable);
    heap_used_.set();
    const std::string trouble = result ? "" : result.error().text;
    if (trouble != state_.memory_trouble && !trouble.empty()) {
      log_warning("the state cannot be remembered: {}", trouble);
    }
    state_.memory_trouble = trouble;
  }
}

LastKnown::Memory Daemon::knowledge() const {
  const std::span<const Lease> peers = state_.peers->usable();
  return {config_text_,
          *state_.lease(),
          {peers.begin(), peers.end()},
          std::chrono::system_clock::now()};
}

// At a clean end; what the loop would have written in a moment is not lost.
void Daemon::remember_now() {
  if (memory_ && state_.listed) {
    writer_->join();
    const LastKnown::Memory known = knowledge();
    const Result<void> result = memory_->remember(known.config, known.own, known.peers, known.time);
    if (!result) {
      log_warning("the state cannot be remembered: {}", result.error().text);
    }
  }
}

}  // namespace flannel

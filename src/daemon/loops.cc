// The loops of the daemon: leases, the own lease, subnet.env, the host's interfaces.

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>

#include "base/file.h"
#include "base/log.h"
#include "daemon/daemon.h"
#include "daemon/host.h"
#include "network/subnet_env.h"

namespace flannel {
namespace {

// Waits until `time`, or until the timer is cancelled, which is how others wake a loop.
Task<void> wait_or_woken(asio::steady_timer& timer, asio::steady_timer::time_point time) {
  timer.expires_at(time);
  boost::system::error_code woken;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, woken));
}

bool concerns(const LeaseUpdate& update, const LeaseKey& key) {
  const auto is_key = [&key](const LeaseKey& other) { return other == key; };
  return update.snapshot || std::ranges::any_of(update.removed, is_key) ||
         std::ranges::any_of(update.leases, is_key, &Lease::key);
}

}  // namespace

Task<void> Daemon::watch_leases() {
  const std::unique_ptr<LeaseWatch> watch = store_->watch();
  for (std::optional<LeaseUpdate> update = co_await watch->next(); update;
       update = co_await next_update(*watch)) {
    store_state(StoreUse::watch, "");
    keep_the_doubtful(*update);
    hold_departures(*update);
    const bool first = !synced_;
    const bool changed = state_.peers->apply(*update);
    if (concerns(*update, state_.lease->key)) {
      check_own_entry();
    }
    if (first) {
      co_await end_of_memory();
      synced_ = true;
      start_reconciling();
    } else if (changed) {
      state_.reconciler->wake();
    }
    if (first || changed) {
      memory_is_stale();
    }
  }
}

void Daemon::start_reconciling() {
  if (!reconciling_) {
    reconciling_ = true;
    spawn(run_forever("reconciler", timing_.failures, [this] { return state_.reconciler->run(); }));
  }
}

void Daemon::check_own_entry() {
  const Lease* entry = state_.peers->own_entry();
  const std::string trouble = entry == nullptr                      ? "is gone: taking it again"
                              : entry->attrs != state_.lease->attrs ? "was changed by somebody else"
                                                                    : "";
  if (trouble != std::exchange(own_entry_trouble_, trouble) && !trouble.empty()) {
    log_warning("our lease {} {}", to_text(state_.lease->key), trouble);
  }
  if (!trouble.empty()) {
    renew_now_ = true;
    renew_timer_.cancel();
  }
}

Task<void> Daemon::keep_lease() {
  log_renewal();
  for (Backoff backoff = timing_.renewals;;) {
    const auto left = renew_now_ ? BootClock::duration() : time_to_renewal();
    if (left.count() > 0) {
      const auto wait = std::min<std::chrono::nanoseconds>(left, timing_.between_clock_looks);
      co_await wait_or_woken(renew_timer_, std::chrono::steady_clock::now() + wait);
    } else if (co_await renew_lease()) {
      backoff.reset();
      log_renewal();
    } else {
      // Woken early where the store turns out to be back, or to lack our lease.
      co_await wait_or_woken(renew_timer_, std::chrono::steady_clock::now() + backoff.next());
      renew_now_ = true;
    }
  }
}

// A reservation needs none.
BootClock::duration Daemon::time_to_renewal() const {
  const std::optional<BootClock::time_point>& expiry = state_.lease->expiry;
  return expiry ? *expiry - timing_.now() - state_.options.renew_margin() : kLeaseTime;
}

void Daemon::log_renewal() const {
  if (state_.lease->expiry && !renew_now_) {
    log_info("Waiting for {}s to renew lease",
             std::chrono::duration_cast<std::chrono::seconds>(time_to_renewal()).count());
  }
}

// False where the store does not answer.
Task<bool> Daemon::renew_lease() {
  const Lease lease = *state_.lease;
  Result<Lease> renewed = lease;
  try {
    renewed = co_await store_->renew(lease);
  } catch (const std::exception& error) {
    store_state(StoreUse::renewal, error.what());
    co_return false;
  }
  store_state(StoreUse::renewal, "");
  if (!renewed) {
    throw Fatal(fmt::format("Lease has been revoked: {}", renewed.error().text));
  }
  renew_now_ = state_.lease->attrs != lease.attrs;
  state_.lease->expiry = renewed->expiry;
  state_.peers->set_own(*state_.lease);
  co_return true;
}

Task<void> Daemon::keep_subnet_file() {
  const std::string& path = state_.options.subnet_file;
  std::string written;
  for (Backoff backoff(std::chrono::milliseconds(100), std::chrono::seconds(30));;) {
    const std::string text =
        subnet_env_text(*state_.network, state_.lease->key, state_.pod_mtu, state_.options.ip_masq);
    auto wait = std::chrono::steady_clock::time_point::max();
    if (text != written) {
      const Result<void> result = replace_file(path, text, 0644);
      if (result) {
        written = text;
        state_.subnet_file_written = true;
        backoff.reset();
        log_info("Wrote subnet file to {}", path);
        ::unlink(reason_file(path).c_str());
        check_ready();
      } else {
        waiting_for(fmt::format("Failed to write subnet file: {}", result.error().text));
        wait = std::chrono::steady_clock::now() + backoff.next();
      }
    }
    co_await wait_or_woken(subnet_file_timer_, wait);
  }
}

Task<void> Daemon::give_back_heap() {
  for (;;) {
    co_await wait_or_woken(heap_timer_, std::chrono::steady_clock::time_point::max());
    // Something used it; whatever does so again begins the wait anew.
    auto end = std::chrono::steady_clock::now() + timing_.heap_is_kept;
    co_await wait_or_woken(heap_timer_, end);
    while (std::chrono::steady_clock::now() < end) {
      end = std::chrono::steady_clock::now() + timing_.heap_is_kept;
      co_await wait_or_woken(heap_timer_, end);
    }
    ::malloc_trim(0);
  }
}

void Daemon::host_changed(const HostChanges& changes) {
  if (paths_.forget(changes)) {
    state_.reconciler->wake();
  }
  if (changes.concern_interfaces()) {
    host_changed_ = true;
    host_timer_.cancel();
  }
}

Task<void> Daemon::follow_host() {
  for (;;) {
    if (!host_changed_) {
      co_await wait_or_woken(host_timer_, std::chrono::steady_clock::time_point::max());
    }
    co_await sleep_for(timing_.host_settle);
    host_changed_ = false;
    if (!look_at_host()) {
      co_await sleep_for(timing_.between_idle_looks);
    }
  }
}

// True where another interface, address or MTU is used from now on.
bool Daemon::look_at_host() {
  const HostView host = kernel_.host();
  const Result<ExternalInterface> chosen = find_external(host);
  const bool same = chosen && *chosen == *state_.external;
  // Before anything changes: a dump may fail, and this is then done again.
  const LeaseAttrs attrs = chosen && !same ? announcement(*chosen) : state_.lease->attrs;
  const Result<void> usable = !chosen ? std::unexpected(chosen.error())
                              : same  ? Result<void>()
                                      : set_external(*chosen);
  if (state_.peers->set_host(host_use(host, *scope_))) {
    state_.reconciler->wake();
  }
  const std::string trouble = usable ? "" : usable.error().text;
  if (trouble != state_.interface_trouble) {
    log_warning("{}", trouble.empty()
                          ? fmt::format("interface {} is there again", chosen->name.text())
                          : fmt::format("{}; keeping {}", trouble, state_.external->name.text()));
    state_.interface_trouble = trouble;
  }
  if (!usable || same) {
    return false;
  }
  state_.lease->attrs = attrs;
  state_.peers->set_own(*state_.lease);
  renew_now_ = true;
  renew_timer_.cancel();
  subnet_file_timer_.cancel();
  state_.reconciler->wake();
  memory_is_stale();
  return true;
}

}  // namespace flannel

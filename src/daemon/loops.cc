// The loops of the daemon: leases, the own lease, subnet.env, the host's interfaces.

#include <boost/asio/redirect_error.hpp>

#include "base/file.h"
#include "base/log.h"
#include "daemon/daemon.h"
#include "network/subnet_env.h"

namespace flannel {
namespace {

// Waits until `time`, or until the timer is cancelled, which is how others wake a loop.
Task<void> wait_or_woken(asio::steady_timer& timer, asio::steady_timer::time_point time) {
  timer.expires_at(time);
  boost::system::error_code woken;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, woken));
}

}  // namespace

Task<void> Daemon::watch_leases() {
  const std::unique_ptr<LeaseWatch> watch = store_->watch();
  for (;;) {
    const LeaseUpdate update = co_await watch->next();
    state_.store_trouble.clear();
    if (empties_a_full_list(update)) {
      co_return;  // and is called again
    }
    const bool first = !synced_;
    const bool changed = state_.peers->apply(update);
    check_own_entry();
    if (first) {
      synced_ = true;
      spawn(
          run_forever("reconciler", timing_.failures, [this] { return state_.reconciler->run(); }));
    } else if (changed) {
      state_.reconciler->wake();
    }
  }
}

// A store that suddenly knows nobody is more likely sick than right: ask again before believing it.
bool Daemon::empties_a_full_list(const LeaseUpdate& update) {
  const bool empties =
      update.snapshot && update.leases.size() <= 1 && !state_.peers->usable().empty();
  if (!empties || confirming_empty_list_) {
    confirming_empty_list_ = false;
    return false;
  }
  log_warning("{} lists no peers although {} were known: asking again", state_.store_name,
              state_.peers->usable().size());
  confirming_empty_list_ = true;
  return true;
}

void Daemon::check_own_entry() {
  const Lease* entry = state_.peers->own_entry();
  if (entry != nullptr && entry->attrs == state_.lease->attrs) {
    return;
  }
  log_warning("our lease {} {}", to_text(state_.lease->key),
              entry == nullptr ? "is gone: taking it again" : "was changed by somebody else");
  renew_now_ = true;
  renew_timer_.cancel();
}

Task<void> Daemon::keep_lease() {
  for (;;) {
    const auto now = std::chrono::system_clock::now();
    auto wait = std::chrono::steady_clock::duration(kLeaseTime);
    if (state_.lease->expiry) {
      wait = *state_.lease->expiry - now - state_.options.renew_margin();
      log_info("Waiting for {}s to renew lease",
               std::chrono::duration_cast<std::chrono::seconds>(wait).count());
    }
    if (!renew_now_) {
      co_await wait_or_woken(renew_timer_, std::chrono::steady_clock::now() + wait);
    }
    const Lease lease = *state_.lease;
    const Result<Lease> renewed = co_await store_->renew(lease);
    if (!renewed) {
      throw Fatal(fmt::format("Lease has been revoked: {}", renewed.error().text));
    }
    renew_now_ = state_.lease->attrs != lease.attrs;
    state_.lease->expiry = renewed->expiry;
    state_.peers->set_own(*state_.lease);
    state_.store_trouble.clear();
  }
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
        check_ready();
      } else {
        waiting_for(fmt::format("Failed to write subnet file: {}", result.error().text));
        wait = std::chrono::steady_clock::now() + backoff.next();
      }
    }
    co_await wait_or_woken(subnet_file_timer_, wait);
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
  const Result<ExternalInterface> chosen = find_external();
  const bool same = chosen && *chosen == *state_.external;
  // Before anything changes: a dump may fail, and this is then done again.
  const LeaseAttrs attrs = chosen && !same ? announcement(*chosen) : state_.lease->attrs;
  const Result<void> usable = !chosen ? std::unexpected(chosen.error())
                              : same  ? Result<void>()
                                      : set_external(*chosen);
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
  return true;
}

}  // namespace flannel

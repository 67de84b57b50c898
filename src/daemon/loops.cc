// The loops of the daemon: subnet.env, the host's interfaces.

#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "base/log.h"
#include "base/rate_limit.h"
#include "daemon/daemon.h"
#include "daemon/host.h"
#include "network/subnet_env.h"

namespace flannel {

void Daemon::start_reconciling() {
  if (!reconciling_) {
    reconciling_ = true;
    spawn(run_forever("reconciler", timing_.failures, [this] { return state_.reconciler->run(); }));
  }
}

std::string Daemon::subnet_file_text() const {
  return subnet_env_text(*state_.network, state_.lease()->key, state_.pod_mtu,
                         state_.options.ip_masq);
}

void Daemon::host_changed(const HostChanges& changes) {
  if (state_.planner->forget(changes)) {
    state_.reconciler->wake();
  }
  if (changes.concern_interfaces()) {
    host_changed_.set();
  }
}

// Begins with a look: one that failed is made again.
Task<void> Daemon::follow_host() {
  for (RateLimit rate_limit(timing_.look_most_charged);;) {
    const auto began = std::chrono::steady_clock::now();
    host_changed_.clear();
    store_->host_changed();
    look_at_host();
    rate_limit.charge(began, std::chrono::steady_clock::now());
    co_await host_changed_.wait();
    const auto now = std::chrono::steady_clock::now();
    co_await sleep_for(std::max(now + timing_.host_settle, rate_limit.next()) - now);
  }
}

// Once for as long as it is so.
void Daemon::warn_of_host() {
  std::vector<std::string> now =
      overlay_warnings(state_.peers->host(), *state_.network, state_.lease()->key);
  for (const std::string& warning : now) {
    if (std::ranges::count(host_warnings_told_, warning) == 0) {
      log_warning("{}", warning);
    }
  }
  host_warnings_told_ = std::move(now);
}

// Where another interface, address or MTU is chosen, it is used from now on.
void Daemon::look_at_host() {
  const HostView host = host_now();
  const Result<ExternalInterface> chosen = find_external(host);
  const bool same = chosen && *chosen == *state_.external;
  // Before anything changes: a dump may fail, and this is then done again.
  const LeaseAttrs attrs = chosen && !same ? announcement(*chosen) : state_.lease()->attrs;
  const Result<void> usable = !chosen ? std::unexpected(chosen.error())
                              : same  ? Result<void>()
                                      : set_external(*chosen);
  if (state_.peers->set_host(host_use(host, *scope_))) {
    note({.any = true, .all = true});
    peers_changed();
    warn_of_host();
  }
  const std::string trouble = usable ? "" : usable.error().text;
  if (trouble != state_.interface_trouble) {
    log_trouble(!trouble.empty(),
                trouble.empty()
                    ? fmt::format("interface {} is there again", chosen->name.text())
                    : fmt::format("{}; keeping {}", trouble, state_.external->name.text()));
    state_.interface_trouble = trouble;
    state_.reconciler->wake();  // also where it comes back as it was
  }
  if (!usable || same) {
    return;
  }
  state_.own->publish(attrs);
  state_.peers->set_own(*state_.lease());
  note({.any = true, .all = true});
  subnet_file_.set(subnet_file_text());
  state_.reconciler->wake();
  last_known_state_stale_.set();
}

}  // namespace flannel

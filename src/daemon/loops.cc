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
  return subnet_env_text(state_.overlay->config, state_.lease()->key, state_.host->pod_mtu(),
                         state_.options.ip_masq);
}

void Daemon::host_changed(const HostChanges& changes) {
  if (state_.planner->forget(changes)) {
    state_.reconciler->wake();
  }
  if (changes.concern_interfaces()) {
    state_.host->changed();
  }
}

void Daemon::follow_peers() {
  const Overlay& overlay = *state_.overlay;
  Peers peers(overlay.config, *state_.lease(), [&overlay](const Lease& lease, Family family) {
    return overlay.backend->vtep_mac(lease, family);
  });
  peers.set_host(state_.host->use());
  state_.peer_watch = std::make_unique<PeerWatch>(io_.get_executor(), *store_, std::move(peers),
                                                  state_.lease()->key, timing_.departures);
  state_.peer_watch->on_answer = [this] { store_state(StoreHealth::Use::watch, ""); };
  state_.peer_watch->on_own = [this](const OwnEntry& entry) { state_.own->seen(entry); };
  state_.peer_watch->on_change = [this](const PeersDelta& delta) { peers_changed(delta); };
  state_.peer_watch->on_list = [this] { return first_list(); };
}

void Daemon::peers_changed(const PeersDelta& delta) {
  state_.planner->peers_changed(delta);
  state_.reconciler->wake_for_changes();
  unwritten_.add(delta);
  if (reconciling_) {
    last_known_state_stale_.set();
  }
}

Task<void> Daemon::first_list() {
  co_await replace_last_known_state();
  start_reconciling();
  last_known_state_stale_.set();
}

void Daemon::follow_host() {
  state_.host->on_look = [this] { store_->host_changed(); };
  state_.host->on_use = [this](HostUse use) { set_host_use(std::move(use)); };
  state_.host->on_trouble = [this] {
    state_.reconciler->wake();  // also where the interface comes back as it was
  };
  state_.host->on_interface = [this](const LeaseAttrs& attrs) { set_announcement(attrs); };
}

void Daemon::set_host_use(HostUse use) {
  state_.peer_watch->set_host(std::move(use));
  const std::vector<std::string> warnings = state_.host_warnings();
  host_warnings_.set({warnings.begin(), warnings.end()});
}

void Daemon::set_announcement(const LeaseAttrs& attrs) {
  state_.own->publish(attrs);
  state_.peer_watch->set_own(*state_.lease());
  subnet_file_.set(subnet_file_text());
  state_.reconciler->wake();
}

}  // namespace flannel

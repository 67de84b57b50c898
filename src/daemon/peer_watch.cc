// The daemon follows the leases: who is there, who has left, and what became of our own.

#include "base/counted.h"
#include "base/log.h"
#include "base/printable.h"
#include "daemon/daemon.h"

namespace flannel {
Task<void> Daemon::watch_leases() {
  const std::unique_ptr<LeaseWatch> watch = store_->watch();
  for (;;) {
    std::optional<LeaseUpdate> update = co_await watch->next(departures_->next_list());
    if (!update) {
      co_return;  // to begin anew with a list, since some departures are not confirmed
    }
    store_state(StoreHealth::Use::watch, "");
    co_await take_in(std::move(*update));
  }
}

Task<void> Daemon::take_in(LeaseUpdate update) {
  if (update.own) {
    state_.own->seen(*update.own);
  }
  const std::size_t before = departures_->unconfirmed();
  const PeersDelta delta = state_.peers->apply(
      departures_->filter(std::move(update), *state_.peers, Departures::Clock::now()));
  if (departures_->unconfirmed() > before) {
    log_warning("{} lacks {} that nobody saw leave: kept until a second list", state_.store_name,
                counted(departures_->unconfirmed(), "peer"));
  }
  departures_changed_.set();
  note(delta);
  if (!state_.listed) {
    co_await replace_last_known_state();
    state_.listed = true;
    start_reconciling();
    last_known_state_stale_.set();
  } else if (delta.any) {
    peers_changed();
  }
}

void Daemon::note(const PeersDelta& delta) {
  state_.planner->peers_changed(delta);
  unwritten_.add(delta);
}

void Daemon::peers_changed() {
  state_.reconciler->wake_for_changes();
  last_known_state_stale_.set();
}

Task<void> Daemon::remove_departed() {
  for (;;) {
    const LeaseUpdate gone = departures_->due(Departures::Clock::now());
    if (const PeersDelta delta = state_.peers->apply(gone); delta.any) {
      note(delta);
      peers_changed();
    }
    co_await departures_changed_.wait(departures_->next_due());
  }
}

}  // namespace flannel

#include "daemon/peer_watch.h"

#include <utility>

#include "base/counted.h"
#include "base/log.h"

namespace flannel {

PeerWatch::PeerWatch(const asio::any_io_executor& executor, LeaseStore& store, Peers peers,
                     const LeaseKey& own, Departures::Timing timing)
    : store_(store),
      peers_(std::move(peers)),
      departures_(own, timing),
      departures_changed_(executor) {}

void PeerWatch::assume(std::vector<Lease> peers) {
  apply({.snapshot = true, .leases = std::move(peers)});
}

void PeerWatch::set_own(const Lease& own) {
  peers_.set_own(own);
  on_change({.any = true, .all = true});
}

void PeerWatch::set_host(HostUse host) {
  if (peers_.set_host(std::move(host))) {
    on_change({.any = true, .all = true});
  }
}

void PeerWatch::apply(const LeaseUpdate& update) {
  if (const PeersDelta delta = peers_.apply(update); delta.any) {
    on_change(delta);
  }
}

Task<void> PeerWatch::follow() {
  const std::unique_ptr<LeaseWatch> watch = store_.watch();
  for (;;) {
    std::optional<LeaseUpdate> update = co_await watch->next(departures_.next_list());
    if (!update) {
      co_return;
    }
    on_answer();
    co_await process(std::move(*update));
  }
}

void PeerWatch::count(const LeaseUpdate& update) {
  if (update.snapshot) {
    ++counts_.lists;
  } else {
    counts_.puts += update.leases.size() + update.bad.size() + update.more_bad.size();
    counts_.deletes += update.removed.size();
  }
}

Task<void> PeerWatch::process(LeaseUpdate update) {
  count(update);
  if (update.own) {
    on_own(*update.own);
  }
  const std::size_t before = departures_.unconfirmed();
  const LeaseUpdate confirmed =
      departures_.filter(std::move(update), peers_, Departures::Clock::now());
  if (departures_.unconfirmed() > before) {
    log_warning("{} lacks {} that nobody saw leave: kept until a second list", store_.name(),
                counted(departures_.unconfirmed(), "peer"));
  }
  departures_changed_.set();
  apply(confirmed);
  if (!listed_) {
    co_await on_list();
    listed_ = true;
    on_listed();
  }
}

Task<void> PeerWatch::remove_departed() {
  for (;;) {
    apply(departures_.due(Departures::Clock::now()));
    co_await departures_changed_.wait(departures_.next_due());
  }
}

}  // namespace flannel

// The other nodes: who there is by the store's watch, and who has left.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <functional>

#include "base/task.h"
#include "base/wake.h"
#include "network/departures.h"
#include "network/peers.h"
#include "store/store.h"

namespace flannel {

class PeerWatch {
 public:
  // `store` outlives this object; `own` is the key of our lease.
  PeerWatch(const asio::any_io_executor& executor, LeaseStore& store, Peers peers,
            const LeaseKey& own, Departures::Timing timing);

  const Peers& peers() const { return peers_; }
  // The store has said completely who there is, and on_list() has returned.
  bool listed() const { return listed_; }

  // What the store has said since start.
  struct Counts {
    std::uint64_t lists = 0;  // complete ones
    // Of leases; puts also of entries that cannot be read. Of our own with the other leases, where
    // the store has it among them.
    std::uint64_t puts = 0, deletes = 0;
  };
  const Counts& counts() const { return counts_; }

  // Until the store does, `peers` are there.
  void assume(std::vector<Lease> peers);
  // As in Peers.
  void set_own(const Lease& own);
  void set_host(HostUse host);

  // Follows the store, from a list on. Returns where it is time for another list, since peers are
  // gone that nobody saw leave; throws where the store cannot be reached. To be run again then.
  Task<void> follow();
  // Removes those whose grace period is over, until cancelled.
  Task<void> remove_departed();

  // With each answer of the store.
  std::function<void()> on_answer;
  // What it has under our own key.
  std::function<void(const OwnEntry& entry)> on_own;
  // peers() differs from before.
  std::function<void(const PeersDelta& delta)> on_change;
  // With the first list, after on_change. Where it throws, the next list is the first one.
  std::function<Task<void>()> on_list;
  // After that, when listed() has become true.
  std::function<void()> on_listed;

 private:
  void count(const LeaseUpdate& update);
  Task<void> process(LeaseUpdate update);
  void apply(const LeaseUpdate& update);

  LeaseStore& store_;
  Peers peers_;
  Departures departures_;
  Wake departures_changed_;
  bool listed_ = false;
  Counts counts_;
};

}  // namespace flannel

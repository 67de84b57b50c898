// When a peer that left, or seems to have left, counts as gone.
#pragma once

#include <chrono>
#include <map>

#include "network/lease.h"
#include "network/peers.h"

namespace flannel {

// Stands between a store's watch and Peers: takes departures out of the updates until their time
// has come. The time is passed in; nothing waits in here.
class Departures {
 public:
  using Clock = std::chrono::steady_clock;

  struct Timing {
    // How long a peer stays whose lease was seen to go: a lease that is deleted, or expires while
    // its node lives, is taken again within milliseconds.
    std::chrono::milliseconds grace{1'000};
    // How long at least a peer stays that a list lacks and nobody saw leave. It may have left while
    // we did not watch; or the store was wiped, restored or is sick: nodes notice that it is back
    // and write their leases within this time. Then a second list is to say the same.
    std::chrono::milliseconds unconfirmed{10'000};
  };

  // Of our own lease nothing is held back: we are the one to take it again.
  Departures(LeaseKey own, Timing timing) : own_(own), timing_(timing) {}

  // `update` without the departures that are not due yet: those of a list that `known` has
  // and the list lacks, and those of an event. An entry that cannot be read any more is
  // no departure. Where a newcomer has the very subnet of one that was seen to leave, its time has
  // come: the node is the same with a family more or less, or has lost its subnet. Of one that a
  // list lacks this holds for a newcomer at its address alone: in a wiped store another node may
  // have chosen the subnet before the one that lives there was back.
  LeaseUpdate filter(LeaseUpdate update, const Peers& known, Clock::time_point now);

  // The removal of those whose grace period is over.
  LeaseUpdate due(Clock::time_point now);
  // When the next one's is; Clock::time_point::max() for never.
  Clock::time_point next_due() const { return earliest(Reason::left); }
  // When a list is to be asked for, since some are unconfirmed; max() for never.
  Clock::time_point next_list() const { return earliest(Reason::unconfirmed); }
  std::size_t unconfirmed() const;

 private:
  enum class Reason { left, unconfirmed };
  struct Hold {
    Clock::time_point until;
    Reason reason;
  };

  Clock::time_point earliest(Reason reason) const;
  void filter_events(LeaseUpdate& update, Clock::time_point now);
  void filter_list(LeaseUpdate& update, const Peers& known, Clock::time_point now);
  std::vector<LeaseKey> replaced_by(std::span<const Lease> newcomers) const;

  LeaseKey own_;
  Timing timing_;
  std::map<LeaseKey, Hold> held_;
};

}  // namespace flannel

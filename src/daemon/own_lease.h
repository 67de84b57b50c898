// Our own lease: written before it ends, and whenever the store has something else under its key.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <string>

#include "base/backoff.h"
#include "base/boot_clock.h"
#include "base/task.h"
#include "base/wake.h"
#include "store/store.h"

namespace flannel {

class OwnLease {
 public:
  using Clock = BootClock;

  struct Timing {
    // Between a write and one that is not due yet: a store that is read-only still answers, and
    // thousands of nodes are not to ask each second. Anew after a minute without any.
    Backoff renewals{std::chrono::milliseconds(1'000), std::chrono::milliseconds(30'000)};
    // Between any two writes, whatever lifetime the store says.
    std::chrono::milliseconds between_writes{1'000};
    std::chrono::milliseconds minute{60'000};
    std::function<Clock::time_point()> now = Clock::now;
    // How often to look at that clock: a timer stands still while the machine is suspended.
    std::chrono::milliseconds between_clock_looks{3'600'000};
  };

  // `store` outlives this object. `margin` is how long before its end the lease is renewed, where
  // it lasts so long; else it is when half of its time is over.
  OwnLease(const asio::any_io_executor& executor, LeaseStore& store, Lease lease,
           std::chrono::minutes margin, Timing timing);

  const Lease& get() const { return lease_; }
  // What is wrong with the store's entry; empty when nothing is.
  const std::string& trouble() const { return trouble_; }

  // What the others are to know of us from now on. Written at once.
  void publish(LeaseAttrs attrs);
  // Written at once, whatever is in the store.
  void write_anew();
  // What the watch sees under our key. Throws Fatal where, for the third time within a minute,
  // another node with our address has overwritten what we wrote.
  void seen(const OwnEntry& entry);
  // The store answers again: what it did not take is not to wait any longer.
  void store_is_back();

  // Until cancelled. Throws Fatal where another node holds the lease.
  Task<void> run();

  // Why the store does not take what we write; empty when it does.
  std::function<void(const std::string& trouble)> on_store_state;

 private:
  Clock::time_point next_write() const;
  void set_due();
  void set_trouble(const std::string& trouble);
  void count_second_owner(const Lease& entry);
  Task<void> write();
  Task<Result<Lease>> try_write(Lease lease);

  LeaseStore& store_;
  Lease lease_;
  const std::chrono::minutes margin_;
  Timing timing_;
  Wake wake_;
  Clock::time_point due_;                      // when the lease is to be renewed, all being well
  Clock::time_point written_at_{};             // the last write's beginning
  Clock::duration interval_{0};                // from there to the next that is not due
  bool write_now_ = false;                     // there is something to write since it began
  bool failed_ = false;                        // the store did not take it
  bool intact_ = true;                         // not seen overwritten since the last write
  std::deque<Clock::time_point> overwritten_;  // within the last minute
  std::string trouble_;
};

}  // namespace flannel

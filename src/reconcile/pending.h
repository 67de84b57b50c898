// Ops that were begun and are not answered yet.
#pragma once

#include <chrono>
#include <vector>

#include "kernel/net_state.h"

namespace flannel {

// At most one an object: another waits until its answer is there.
class PendingOps {
 public:
  using Clock = std::chrono::steady_clock;
  struct Entry {
    Op op;
    Clock::time_point begun;
    bool repairs = false;  // what another program undid (HoldDown)
  };

  // That of the object's key; null where there is none.
  const Entry* find(const Object& object) const;
  void add(Op op, Clock::time_point now);
  // That of the object's key, which there is.
  void mark_repair(const Object& object);
  void remove(const Object& object);
  bool empty() const { return entries_.empty(); }
  const Op& front() const { return entries_.front().op; }
  // Those that were begun by then.
  std::vector<Op> begun_by(Clock::time_point time) const;
  // When the first one was; Clock::time_point::max() without any.
  Clock::time_point first_begun() const;

 private:
  std::vector<Entry> entries_;  // by key
};

}  // namespace flannel

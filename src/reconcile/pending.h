// Ops that were begun and are not answered yet.
#pragma once

#include <vector>

#include "kernel/net_state.h"

namespace flannel {

// At most one an object: another waits until its answer is there.
class PendingOps {
 public:
  struct Entry {
    Op op;
    bool repairs = false;  // what another program undid (HoldDown)
  };

  // That of the object's key; null where there is none.
  const Entry* find(const Object& object) const;
  void add(Op op);
  // That of the object's key, which there is.
  void mark_repair(const Object& object);
  void remove(const Object& object);
  bool empty() const { return entries_.empty(); }
  const Op& front() const { return entries_.front().op; }

 private:
  std::vector<Entry> entries_;  // by key
};

}  // namespace flannel

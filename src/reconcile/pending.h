// Ops that were begun and are not answered yet.
#pragma once

#include <vector>

#include "kernel/net_state.h"

namespace flannel {

// At most one an object: another waits until its answer is there.
class PendingOps {
 public:
  // That of the object's key; null where there is none.
  const Op* find(const Object& object) const;
  void add(Op op);
  void remove(const Object& object);
  bool empty() const { return ops_.empty(); }
  const Op& front() const { return ops_.front(); }

 private:
  std::vector<Op>::const_iterator place_of(const Object& object) const;

  std::vector<Op> ops_;  // by key
};

}  // namespace flannel

#include "reconcile/pending.h"

#include <algorithm>
#include <utility>

namespace flannel {

std::vector<Op>::const_iterator PendingOps::place_of(const Object& object) const {
  return std::ranges::lower_bound(ops_, object, key_less, &Op::object);
}

const Op* PendingOps::find(const Object& object) const {
  const auto at = place_of(object);
  return at != ops_.end() && !key_less(object, at->object) ? &*at : nullptr;
}

void PendingOps::add(Op op) {
  remove(op.object);
  const auto at = place_of(op.object);
  ops_.insert(at, std::move(op));
}

void PendingOps::remove(const Object& object) {
  if (const Op* op = find(object)) {
    ops_.erase(ops_.begin() + (op - ops_.data()));
  }
}

}  // namespace flannel

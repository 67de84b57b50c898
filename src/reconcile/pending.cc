#include "reconcile/pending.h"

#include <algorithm>
#include <utility>

#include "reconcile/by_key.h"

namespace flannel {

const PendingOps::Entry* PendingOps::find(const Object& object) const {
  return find_by_key(entries_, object,
                     [](const Entry& entry) -> const Object& { return entry.op.object; });
}

void PendingOps::add(Op op, Clock::time_point now) {
  remove(op.object);
  const auto at = std::ranges::find_if(
      entries_, [&](const Entry& entry) { return key_less(op.object, entry.op.object); });
  entries_.insert(at, {std::move(op), now});
}

std::vector<Op> PendingOps::begun_by(Clock::time_point time) const {
  std::vector<Op> ops;
  for (const Entry& entry : entries_) {
    if (entry.begun <= time) {
      ops.push_back(entry.op);
    }
  }
  return ops;
}

PendingOps::Clock::time_point PendingOps::first_begun() const {
  return entries_.empty() ? Clock::time_point::max()
                          : std::ranges::min(entries_, {}, &Entry::begun).begun;
}

void PendingOps::mark_repair(const Object& object) {
  entries_[static_cast<std::size_t>(find(object) - entries_.data())].repairs = true;
}

void PendingOps::remove(const Object& object) {
  if (const Entry* entry = find(object)) {
    entries_.erase(entries_.begin() + (entry - entries_.data()));
  }
}

}  // namespace flannel

#include "reconcile/hold_down.h"

#include <algorithm>

#include "reconcile/by_key.h"

namespace flannel {
namespace {

constexpr std::chrono::seconds kLeastWindow{1};

bool is_over(const HoldDown::Entry& entry, HoldDown::Clock::time_point now) {
  return entry.last + std::max<HoldDown::Clock::duration>(kLeastWindow, 2 * entry.hold_down) < now;
}

}  // namespace

const HoldDown::Entry* HoldDown::find(const Object& object, Clock::time_point now) const {
  const Entry* const entry = find_by_key(entries_, object, &Entry::object);
  return entry != nullptr && now < entry->ends() ? entry : nullptr;
}

void HoldDown::repaired(std::vector<Object> objects, Clock::time_point now) {
  std::vector<Entry> entries;
  entries.reserve(objects.size());
  for (Object& object : objects) {
    Entry entry{std::move(object), 1, now, {}};
    const Entry* const before = find_by_key(entries_, entry.object, &Entry::object);
    if (before != nullptr && !is_over(*before, now)) {
      entry.repairs = before->repairs + 1;
      entry.hold_down = std::clamp<Clock::duration>(2 * before->hold_down, first_, most_);
    }
    entries.push_back(std::move(entry));
  }
  std::erase_if(entries_, [now](const Entry& entry) { return is_over(entry, now); });
  entries.insert(entries.end(), std::make_move_iterator(entries_.begin()),
                 std::make_move_iterator(entries_.end()));
  // Of an object that was there already the first stays, which is the new one.
  const auto by_key = [](const Entry& a, const Entry& b) { return key_less(a.object, b.object); };
  std::stable_sort(entries.begin(), entries.end(), by_key);
  const auto same = [&](const Entry& a, const Entry& b) { return !by_key(a, b); };
  entries.erase(std::unique(entries.begin(), entries.end(), same), entries.end());
  entries_ = std::move(entries);
}

HoldDown::Clock::time_point HoldDown::next_end(Clock::time_point now) const {
  Clock::time_point next = Clock::time_point::max();
  for (const Entry& entry : entries_) {
    if (now < entry.ends()) {
      next = std::min(next, entry.ends());
    }
  }
  return next;
}

}  // namespace flannel

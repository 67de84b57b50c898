#include "store/etcd_entry.h"

#include <algorithm>
#include <filesystem>
#include <type_traits>

#include "base/printable.h"
#include "store/etcd_stream.h"
#include "store/store.h"

namespace flannel {
namespace {

constexpr std::uint64_t kMostExpected = 2 << 20;
constexpr std::string_view kLeases = "/subnets/";

}  // namespace

EtcdLayout::EtcdLayout(std::string prefix) : prefix_(std::move(prefix)) {
  // As the reference, which joins paths: one slash between names.
  prefix_ = std::filesystem::path(prefix_).lexically_normal().string();
  while (prefix_.ends_with('/')) {
    prefix_.pop_back();
  }
}

etcd::RangeRequest EtcdLayout::leases() const {
  // '0' is the character after '/'.
  return {.key = prefix_ + "/subnets/", .range_end = prefix_ + "/subnets0"};
}

bool EtcdLayout::has_lease(std::string_view key) const {
  return key.starts_with(prefix_) && key.substr(prefix_.size()).starts_with(kLeases);
}

std::string_view EtcdLayout::name(std::string_view key) const {
  return has_lease(key) ? key.substr(prefix_.size() + kLeases.size()) : key;
}

etcd::Unchanged EtcdLayout::untouched(const LeaseKey& key, std::int64_t revision) const {
  etcd::Unchanged untouched{.key = lease_key({key.v4, {}}), .range_end = {}, .revision = revision};
  if (!key.v4) {
    untouched.key = lease_key(key);
    return untouched;
  }
  untouched.range_end = untouched.key;
  ++untouched.range_end.back();
  return untouched;
}

Result<Lease> read_lease(const EtcdLayout& layout, const etcd::KeyValue& entry) {
  if (entry.cut) {
    return fail("an entry of over {} kB is no lease", etcd::kMostEntryBytes >> 10);
  }
  Result<Lease> lease = read_lease(layout.name(entry.key), entry.value);
  if (lease && entry.lease != 0) {
    lease->expiry = BootClock::now() + kLeaseTime;
  }
  return lease;
}

// So that the leases are not copied to a longer place; no more than can be true.
void SnapshotReader::expect(std::uint64_t entries) {
  update_.leases.reserve(std::min(entries, kMostExpected));
}

void SnapshotReader::add(etcd::KeyValue entry) {
  Result<Lease> lease = read_lease(layout_, entry);
  if (lease) {
    update_.leases.push_back(std::move(*lease));
  } else {
    add_bad(update_, layout_.name(entry.key), lease.error().text);
  }
}

void EventReader::add(const etcd::Event& event) {
  const std::string_view name = layout_->name(event.kv.key);
  const Result<LeaseKey> key = parse_lease_key(name);
  const bool is_its_key = key && is_text_of(name, *key);
  if (!bad_.empty()) {
    bad_.erase(printable(name));
    more_bad_.erase(bad_digest(printable(name)));
  }
  if (event.deleted && is_its_key) {
    last_[*key] = {Kind::removed, removed_.size()};
    removed_.push_back(*key);
    return;
  }
  if (event.deleted) {
    bad_removed_.insert(printable(name));
    return;
  }
  Result<Lease> lease = read_lease(*layout_, event.kv);
  if (lease) {
    last_[*key] = {Kind::lease, leases_.size()};
    leases_.push_back(std::move(*lease));
    return;
  }
  if (is_its_key) {
    last_[*key] = {Kind::unreadable, unreadable_.size()};
    unreadable_.push_back(*key);
  } else {
    bad_removed_.erase(printable(name));
  }
  if (key && !is_its_key) {
    held_.push_back(*key);
  }
  if (bad_.size() < kMostBadEntries) {
    bad_[printable(name)] = printable(lease.error().text);
  } else if (more_bad_.size() < kMostUnnamedBad) {
    more_bad_.insert(bad_digest(printable(name)));
  }
}

template <class T>
void EventReader::keep_last(std::vector<T>& changes, Kind kind) {
  std::size_t index = 0;
  std::erase_if(changes, [&](const T& change) {
    const LeaseKey* key = nullptr;
    if constexpr (std::is_same_v<T, Lease>) {
      key = &change.key;
    } else {
      key = &change;
    }
    return last_.at(*key) != Place{kind, index++};
  });
}

LeaseUpdate EventReader::take() {
  if (last_.size() < leases_.size() + removed_.size() + unreadable_.size()) {
    keep_last(leases_, Kind::lease);
    keep_last(removed_, Kind::removed);
    keep_last(unreadable_, Kind::unreadable);
  }
  LeaseUpdate update{.leases = std::move(leases_),
                     .removed = std::move(removed_),
                     .more_bad = {more_bad_.begin(), more_bad_.end()},
                     .unreadable = std::move(unreadable_),
                     .bad_removed = {bad_removed_.begin(), bad_removed_.end()}};
  update.unreadable.insert(update.unreadable.end(), held_.begin(), held_.end());
  for (const auto& [name, reason] : bad_) {
    update.bad.push_back({.key = name, .reason = reason});
  }
  return update;
}

}  // namespace flannel

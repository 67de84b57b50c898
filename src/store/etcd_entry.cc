#include "store/etcd_entry.h"

#include <map>

#include "base/printable.h"
#include "store/store.h"

namespace flannel {
namespace {

void add_entry(LeaseUpdate& update, const etcd::KeyValue& entry) {
  Result<Lease> lease = read_lease(entry);
  if (lease) {
    update.leases.push_back(std::move(*lease));
    return;
  }
  if (update.bad.size() < kMostBadEntries) {
    update.bad.push_back({.key = printable(entry.key), .reason = printable(lease.error().text)});
  } else {
    ++update.more_bad;
  }
  if (const Result<LeaseKey> key = parse_lease_key(entry.key)) {
    update.unreadable.push_back(*key);
  }
}

}  // namespace

EtcdLayout::EtcdLayout(std::string prefix) : prefix_(std::move(prefix)) {
  while (prefix_.ends_with('/')) {
    prefix_.pop_back();
  }
}

etcd::RangeRequest EtcdLayout::leases() const {
  // '0' is the character after '/'.
  return {.key = prefix_ + "/subnets/", .range_end = prefix_ + "/subnets0"};
}

Result<Lease> read_lease(const etcd::KeyValue& entry) {
  const Result<LeaseKey> key = parse_lease_key(entry.key);
  if (!key) {
    return std::unexpected(key.error());
  }
  Result<LeaseAttrs> attrs = parse_lease_attrs(entry.value);
  if (!attrs) {
    return std::unexpected(attrs.error());
  }
  Lease lease{.key = *key, .attrs = std::move(*attrs)};
  if (entry.lease != 0) {
    lease.expiry = BootClock::now() + kLeaseTime;
  }
  return lease;
}

LeaseUpdate read_snapshot(const std::vector<etcd::KeyValue>& entries) {
  LeaseUpdate update{.snapshot = true};
  for (const etcd::KeyValue& entry : entries) {
    add_entry(update, entry);
  }
  return update;
}

LeaseUpdate read_events(const std::vector<etcd::Event>& events) {
  std::map<std::string_view, const etcd::Event*> last;
  for (const etcd::Event& event : events) {
    last[event.kv.key] = &event;
  }
  LeaseUpdate update;
  for (const auto& [text, event] : last) {
    if (!event->deleted) {
      add_entry(update, event->kv);
      continue;
    }
    const Result<LeaseKey> key = parse_lease_key(text);
    if (key) {
      update.removed.push_back(*key);
    } else {
      update.bad_removed.push_back(printable(text));
    }
  }
  return update;
}

}  // namespace flannel

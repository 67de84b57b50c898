// How leases lie in etcd: `<prefix>/subnets/10.5.60.0-24`, and the attributes as JSON.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "network/lease.h"
#include "store/etcd_client.h"

namespace flannel {

class EtcdLayout {
 public:
  // `prefix` as configured, e.g. `/coreos.com/network`; slashes at its end, and second ones, do not
  // count.
  explicit EtcdLayout(std::string prefix);

  const std::string& prefix() const { return prefix_; }
  std::string config_key() const { return prefix_ + "/config"; }
  std::string lease_key(const LeaseKey& key) const { return prefix_ + "/subnets/" + to_text(key); }
  // Everything below `<prefix>/subnets/`, and not `<prefix>/subnetsX/` as the reference has it.
  etcd::RangeRequest leases() const;
  bool has_lease(std::string_view key) const;
  // The part of a lease's key that names it, all behind `<prefix>/subnets/`.
  std::string_view name(std::string_view key) const;
  // That nobody has written since `revision` what may clash with `key`: every key that begins with
  // the text of its IPv4 subnet, whatever its IPv6 one is; without IPv4, the very key.
  etcd::Unchanged untouched(const LeaseKey& key, std::int64_t revision) const;

 private:
  std::string prefix_;
};

// The lease of one entry. Only our own expiry matters to anybody, and asking for that of others
// takes a call each: a leased entry gets kLeaseTime from now.
Result<Lease> read_lease(const EtcdLayout& layout, const etcd::KeyValue& entry);

// The snapshot of a list: what cannot be read is in `bad`, by its name. The layout outlives it.
class SnapshotReader : public EtcdList {
 public:
  explicit SnapshotReader(const EtcdLayout& layout) : layout_(layout) {}
  void start() override { update_ = {.snapshot = true}; }
  void expect(std::uint64_t entries) override;
  void add(etcd::KeyValue entry) override;

  LeaseUpdate take() { return std::exchange(update_, {}); }

 private:
  const EtcdLayout& layout_;
  LeaseUpdate update_;
};

// The changes of a watch response. Of several changes to one key only the last one counts, so
// that `leases`, `removed` and `bad` do not overlap. The layout outlives it.
class EventReader {
 public:
  explicit EventReader(const EtcdLayout& layout) : layout_(&layout) {}
  void add(const etcd::Event& event);
  LeaseUpdate take();

 private:
  enum class Kind { lease, removed, unreadable };
  struct Place {
    Kind kind;
    std::size_t index;
    bool operator==(const Place&) const = default;
  };
  template <class T>
  void keep_last(std::vector<T>& changes, Kind kind);

  const EtcdLayout* layout_;
  // All changes of leases' keys in order, and which of them is a key's last.
  std::vector<Lease> leases_;
  std::vector<LeaseKey> removed_, unreadable_;
  std::map<LeaseKey, Place> last_;
  // Other keys, and values that are none of a lease.
  std::map<std::string, std::string> bad_;  // and why
  std::set<std::uint64_t> more_bad_;        // bad_digest() of further ones
  std::vector<LeaseKey> held_;              // by keys that are not their own
  std::set<std::string> bad_removed_;
};

}  // namespace flannel

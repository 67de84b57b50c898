// How leases lie in etcd: `<prefix>/subnets/10.5.60.0-24`, and the attributes as JSON.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "network/lease.h"
#include "store/etcd_messages.h"

namespace flannel {

class EtcdLayout {
 public:
  // `prefix` as configured, e.g. `/coreos.com/network`; slashes at its end do not count.
  explicit EtcdLayout(std::string prefix);

  const std::string& prefix() const { return prefix_; }
  std::string config_key() const { return prefix_ + "/config"; }
  std::string lease_key(const LeaseKey& key) const { return prefix_ + "/subnets/" + to_text(key); }
  // Everything below `<prefix>/subnets/`, and not `<prefix>/subnetsX/` as the reference has it.
  etcd::RangeRequest leases() const;

 private:
  std::string prefix_;
};

// The lease of one entry. Only our own expiry matters to anybody, and asking for that of others
// takes a call each: a leased entry gets kLeaseTime from now.
Result<Lease> read_lease(const etcd::KeyValue& entry);

// The snapshot of a list: what cannot be read is in `bad`, with its etcd key.
LeaseUpdate read_snapshot(const std::vector<etcd::KeyValue>& entries);

// The changes of a watch response. Of several changes to one key only the last one counts, so
// that `leases`, `removed` and `bad` do not overlap.
LeaseUpdate read_events(const std::vector<etcd::Event>& events);

}  // namespace flannel

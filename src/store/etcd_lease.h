// The etcd lease that our key hangs on.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/boot_clock.h"
#include "store/etcd_client.h"

namespace flannel {

// One is granted and used for every write until half of its time is over, however many tries that
// takes: its ID is our choice, so that a grant whose answer was lost is found again.
class EtcdLease {
 public:
  struct Grant {
    std::int64_t id = 0;
    BootClock::time_point expiry;  // from a second to ten years away, whatever etcd says
  };

  explicit EtcdLease(EtcdClient& client) : client_(client) {}

  // Throws as EtcdClient does.
  Task<Grant> get();
  // etcd does not know the lease any more: it was revoked, or the store is another one.
  void lost() { present_.reset(); }
  // Our key hangs on lease `id` now, 0: on none. The others are given back; where that fails they
  // end by themselves.
  Task<void> used(std::int64_t id);

 private:
  struct Present {
    std::int64_t id = 0;
    BootClock::time_point asked;  // when it was, at the latest
    std::chrono::seconds ttl{};
    bool granted = false;
  };

  EtcdClient& client_;
  std::optional<Present> present_;
  std::vector<std::int64_t> replaced_;
};

}  // namespace flannel

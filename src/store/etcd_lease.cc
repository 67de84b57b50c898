#include "store/etcd_lease.h"

#include <algorithm>
#include <random>
#include <string_view>
#include <utility>

#include "store/store.h"

namespace flannel {
namespace {

// api/v3rpc/rpctypes/error.go
constexpr std::string_view kExists = "lease already exists";

std::int64_t random_id() {
  std::random_device source;
  return std::uniform_int_distribution<std::int64_t>(1, INT64_MAX)(source);
}

}  // namespace

Task<EtcdLease::Grant> EtcdLease::get() {
  const BootClock::time_point now = BootClock::now();
  if (present_ && now >= present_->asked + present_->ttl / 2) {
    replaced_.push_back(std::exchange(present_, std::nullopt)->id);
  }
  if (!present_) {
    present_ = Present{.id = random_id(), .asked = now, .ttl = kLeaseTime};
  }
  Present lease = *present_;
  if (!lease.granted) {
    try {
      const etcd::LeaseGrantResponse granted = co_await client_.grant_lease(lease.id, kLeaseTime);
      lease.id = granted.id;
      lease.asked = now;
      lease.ttl = std::clamp<std::chrono::seconds>(std::chrono::seconds(granted.ttl_seconds),
                                                   std::chrono::seconds(1), kFarAway);
    } catch (const GrpcError& error) {
      if (!std::string_view(error.what()).contains(kExists)) {
        throw;
      }
    }
    lease.granted = true;
    present_ = lease;
  }
  co_return Grant{.id = lease.id, .expiry = lease.asked + lease.ttl};
}

Task<void> EtcdLease::used(std::int64_t id) {
  if (present_ && present_->granted && present_->id != id) {
    replaced_.push_back(std::exchange(present_, std::nullopt)->id);
  }
  for (const std::int64_t other : std::exchange(replaced_, {})) {
    try {
      co_await client_.revoke_lease(other);
    } catch (const GrpcError&) {  // not known any more, or not ours to revoke
    } catch (const ConnectionError&) {
    }
  }
}

}  // namespace flannel

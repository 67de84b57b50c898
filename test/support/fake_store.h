// A lease store in memory, for tests of what stands on one. The contract suite
// (store_contract_test.cc) runs the same cases on it as on the real ones, which keeps it honest.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "store/store.h"

namespace flannel {

class FakeWatch;

// What the daemons' stores look into; outlives them.
class FakeStore {
 public:
  // One daemon's view.
  std::unique_ptr<LeaseStore> open(asio::any_io_executor executor);

  std::optional<std::string> config;
  // As a store has it that knows more: how it reads a configuration, what it knows of the nodes,
  // and why it cannot be notified that they are ready.
  ConfigChecks checks = ConfigChecks::full;
  NodeFacts facts;
  std::string not_told;
  bool refuses_ready = false;  // and that waiting does not help
  bool other_config = false;   // acquire() says that it is another one, once

  // As somebody else would do it. Watches are told, each call by an update of its own.
  void put(const Lease& lease);
  void put_bad(const BadEntry& entry);
  void remove(const std::string& key);  // a lease's or a bad entry's
  void remove(const LeaseKey& key) { remove(to_text(key)); }
  const std::map<LeaseKey, Lease>& leases() const { return leases_; }

  // Tells all watches `update` as it stands, whatever is in the store.
  void deliver(const LeaseUpdate& update);
  // All watches begin again with a snapshot, as after lost events.
  void lose_events();
  // From now on every call throws this, waiting watches too; empty: the store is back.
  void fail_with(const std::string& sentence);

  // Successful calls so far.
  struct Calls {
    std::size_t config = 0, facts = 0, acquire = 0, renew = 0, ready = 0, watch = 0;
  };
  const Calls& calls() const { return calls_; }
  // Calls that failed, by fail_with().
  std::size_t failed_calls() const { return failed_calls_; }

  // From which leases last kLeaseTime.
  std::function<BootClock::time_point()> now = BootClock::now;

 private:
  friend class FakeWatch;
  friend class FakeView;

  void check();  // throws where it is to fail
  LeaseUpdate snapshot() const;
  std::vector<Lease> taken() const;

  std::map<LeaseKey, Lease> leases_;
  std::map<std::string, BadEntry> bad_;
  std::set<FakeWatch*> watches_;
  std::string failure_;
  Calls calls_;
  std::size_t failed_calls_ = 0;
};

}  // namespace flannel

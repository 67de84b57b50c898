// Where leases live. etcd, the local SQLite file and Kubernetes look the same from here,
// and pass one suite of tests (store_contract_test.cc).
//
// A store that cannot be reached throws; the daemon's loops start over (base/task.h). What can be
// answered is answered: a Result's error is the store's "no".
#pragma once

#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "base/task.h"
#include "base/wake.h"
#include "network/lease.h"
#include "network/subnet_picker.h"

namespace flannel {

// The store cannot be used as it is configured, with a wrong password for one: waiting does not
// help.
struct StoreRefused : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// The network configuration is another than the one that config() gave, which could not be used as
// it is: what follows from it begins anew. Where a store says so, facts() and acquire() throw it.
struct ConfigChanged : std::exception {
  const char* what() const noexcept override { return "the network configuration has changed"; }
};

class LeaseWatch {
 public:
  virtual ~LeaseWatch() = default;
  // The first call delivers a complete snapshot, each later one waits for changes. Our own lease
  // is among them. Reconnecting and resuming is the store's affair; where events may have been
  // missed, a snapshot comes again. Updates are in order and none is lost.
  // Nothing where `deadline` has come and the store, which can be reached, had no changes; the
  // watch goes on with the next call.
  virtual Task<std::optional<LeaseUpdate>> next(Deadline deadline) = 0;
  // However long it takes.
  Task<LeaseUpdate> next();
};

// What a store may know of this node before the node has chosen an interface.
struct NodeFacts {
  // Where the other nodes are to send to, whatever the flags say.
  std::optional<IpAddr> public_ip, public_ipv6;
  // What it published when it was here before.
  std::optional<LeaseAttrs> published;
};

class LeaseStore {
 public:
  virtual ~LeaseStore() = default;

  // For people: `etcd http://127.0.0.1:2379 /coreos.com/network`. Without credentials.
  virtual std::string name() const = 0;

  // The text of the network configuration; nothing where nobody has written one yet.
  virtual Task<std::optional<std::string>> config() = 0;
  // What such a text means, whenever it was read: which checks apply is the store's affair. Error:
  // what is wrong with it.
  virtual Result<NetworkConfig> parse_config(const std::string& text) const {
    return parse_network_config(text);
  }

  // Returns when config() is another than `last`; nothing: when there is one. Error: there is none
  // any more, or none that can be read, and why. A store whose watch notices that has to have one
  // that is waited for meanwhile. Throws as config(), to be called again then.
  virtual Task<Result<std::string>> next_config(std::optional<std::string> last) = 0;

  // Of most nodes nothing is known. Error: what is known makes no sense, until somebody mends it.
  virtual Task<Result<NodeFacts>> facts() { co_return NodeFacts(); }

  // Takes a subnet (choose_subnet), trying again with a fresh list when another node was faster.
  virtual Task<Result<Lease>> acquire(AcquireRequest request) = 0;

  // Writes our lease again: a new expiry, and its present attributes. Where it is gone it is taken
  // again with the same subnet. Error: another node holds it, and which.
  virtual Task<Result<Lease>> renew(Lease lease) = 0;

  // The node has become ready, once in the daemon's life; for a store that publishes it. Error: why
  // it cannot; the daemon asks again.
  virtual Task<Result<void>> on_ready() { co_return Result<void>(); }

  // The host's interfaces or addresses changed: a connection from an address that is gone, on which
  // nothing can arrive any more, is given up.
  virtual void host_changed() {}

  // The watch may not outlive the store.
  virtual std::unique_ptr<LeaseWatch> watch() = 0;
};

inline Task<LeaseUpdate> LeaseWatch::next() {
  std::optional<LeaseUpdate> update = co_await next(kNever);
  co_return std::move(*update);
}

// Leases live this long unless renewed, in every store (the reference's 24 h).
inline constexpr std::chrono::hours kLeaseTime{24};

}  // namespace flannel

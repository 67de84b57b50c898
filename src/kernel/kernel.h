// The one boundary to the kernel's state of our objects that tests replace.
//
// Calls are synchronous: the kernel answers a netlink request before sendmsg() returns, so there
// is nothing to wait for. What takes longer, as a program does, is answered `pending`, and its
// result comes with changes(), as notifications do: notify_fd() announces both.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernel/host_network.h"
#include "kernel/net_state.h"
#include "kernel/ownership.h"

namespace flannel {

// The kernel's answer to one op.
struct OpResult {
  int error = 0;           // errno, 0 for success
  std::string text;        // the kernel's extack sentence, or strerror(error); empty on success
  bool pending = false;    // begun: changes() will have the result
  bool untouched = false;  // on success: it was so before, which no dump could say
  bool ok() const { return error == 0 && !pending; }
};

// What a dump found.
struct Snapshot {
  NetState ours;
  std::string rules_suffix;        // of the names of our firewall rules (firewall/names.h)
  bool nexthops_supported = true;  // kernel >= 5.3
  std::optional<FixedSettings> fixed_settings;  // nothing where settings can be written
  std::vector<std::uint32_t> taken_nexthops;    // ids of our range that somebody else uses, sorted
  // What the Go reference may have left and no rule makes ours (is_left_by_reference).
  Table<Route> leftovers;
  // What is on our devices and not ours: an administrator's addresses, routes, permanent neighbours
  // and FDB entries for other networks. It stays.
  std::vector<Object> foreign;
  // What is in the main table to inside our networks and not ours, of whatever type. None but
  // pods' own on most hosts.
  Table<Route> foreign_routes;
};

// What notifications said since the last call, in order.
struct Change {
  bool removed = false;
  Object object;
};
struct Changes {
  // Of these kinds notifications were lost (ENOBUFS): the list below is not the whole truth.
  KindSet dump_needed;
  HostChanges host;
  // Objects of every kind, each as the message had it. Of what the kernel drops along with an
  // object (with a link that goes down its routes) it may say nothing.
  std::vector<Change> ours;
  std::vector<Change> foreign_routes;  // of the rows of that name in the snapshot
  // What became of ops that were pending.
  struct Answer {
    Op op;
    OpResult result;
  };
  std::vector<Answer> answers;
};

// Kinds that are listed again from time to time, whatever notifications say.
struct Audit {
  KindSet kinds;
  std::optional<std::chrono::milliseconds> every;  // nothing: as the reconciler thinks best
};

// All functions throw std::system_error when the socket itself breaks.
class Kernel {
 public:
  virtual ~Kernel() = default;

  // Error: the process lacks the privilege to change anything here, which is named.
  virtual Result<void> may_change() { return {}; }

  // Before the devices of `scope` are made, changed or removed: no other daemon does so as long as
  // this object has the claim, or until it claims those of another scope (DeviceClaim). Error:
  // which one is another's, and whose; then none is claimed.
  virtual Result<void> claim(const Scope& scope) = 0;

  // Lists at least `kinds` and puts everything of ours into `snapshot` in place of what it has of
  // these kinds, from dumps that were complete: one that was interrupted (EINTR, NLM_F_DUMP_INTR)
  // or overran (ENOBUFS) is made again, and after some tries throws.
  virtual void dump(const Scope& scope, KindSet kinds, Snapshot& snapshot) = 0;
  // Of all kinds.
  Snapshot dump(const Scope& scope) {
    Snapshot snapshot;
    dump(scope, all_kinds(), snapshot);
    return snapshot;
  }

  // Applies ops in order and returns one answer an op. An object that is there already as wanted,
  // or gone already, is success. A failure does not stop the ops behind it.
  virtual std::vector<OpResult> apply(std::span<const Op> ops) = 0;

  // Readable when changes() has something. Valid as long as this object.
  virtual int notify_fd() const = 0;
  // Reads pending notifications; those about objects that `scope` does not own are left out. Where
  // there are thousands some are left for the next call.
  virtual Changes changes(const Scope& scope) = 0;

  // Every kind is in one of them; always as many, with the same kinds.
  virtual std::vector<Audit> audits() const { return {{all_kinds(), std::nullopt}}; }
};

}  // namespace flannel

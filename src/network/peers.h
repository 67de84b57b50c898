// The other nodes, as far as their leases are valid.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/mac.h"
#include "network/bad_entries.h"
#include "network/claims.h"
#include "network/host_use.h"
#include "network/lease.h"
#include "network/lease_validator.h"
#include "network/network_config.h"

namespace flannel {

// A lease or entry we do not act on, and why, in words for an operator.
struct Refused {
  std::string name;  // the key's text
  std::string reason;
  bool operator==(const Refused&) const = default;
};

// The MAC of the device behind a lease's tunnel; nothing where its backend has none, or where the
// lease does not say.
using VtepMacOf = std::function<std::optional<Mac>(const Lease& lease, Family family)>;

// With more changes at once, looking at all peers is as good.
inline constexpr std::size_t kFewChanges = 64;

// What an update did to Peers::usable() and refused().
struct PeersDelta {
  bool any = false;
  // More than `changes` says: to many, to what is refused, or to a node that has two leases.
  bool all = false;
  struct Change {
    LeaseKey key;              // the store's
    std::optional<Lease> was;  // as it was usable; nothing where it was not
  };
  std::vector<Change> changes;
};

// Follows a store's watch. What others publish is not trusted: a lease outside Network or where the
// host has addresses of its own, one that overlaps ours or that of a peer already in use, one with
// such a peer's MAC, or one with a public address that no other node can have, is refused by name,
// and the rest are not affected. Those in use stay before newcomers; among newcomers, as after a
// restart, leases of SubnetLen come first, then longer before shorter, then by their keys.
class Peers {
 public:
  Peers(NetworkConfig network, Lease own, VtepMacOf vtep_mac = {});

  // A snapshot replaces everything (full comparison); otherwise changes are added. Where few
  // changed, no others are looked at.
  PeersDelta apply(const LeaseUpdate& update);
  // After the own lease was taken anew.
  void set_own(Lease own);
  // What the host uses of addresses now; true where usable() or refused() may differ from before.
  bool set_host(HostUse host);

  const HostUse& host() const { return validator_.host(); }

  // In the order of their keys in the store, our own never among them. The leases stay where they
  // are until they change.
  std::vector<const Lease*> usable() const;
  std::size_t usable_count() const { return usable_count_; }
  // The one of the store's `key`; nullptr where it is not usable.
  const Lease* find_usable(const LeaseKey& key) const;
  // Of usable(), those of which a family is refused.
  std::set<const Lease*> partly_usable() const;
  // By name; of those without a name there is one more row, which says how many.
  std::span<const Refused> refused() const { return refused_; }
  // With each of those.
  std::size_t refused_count() const;
  // Leases of others that are known, and that a list of all leases lacks.
  std::vector<Lease> missing_from(std::span<const Lease> leases) const;

  // Evaluates all leases anew; those in use stay before the others.
  void evaluate_all();

 private:
  struct Entry {
    Lease lease;                             // its key without the parts that cannot be used
    std::array<std::optional<Mac>, 2> macs;  // a family each
    bool is_new = true;                      // differs from what was evaluated last
    bool was_in_use = false;                 // and was in use then
    bool in_use() const { return lease.key != LeaseKey{}; }
  };
  using Entries = std::map<LeaseKey, Entry>;  // by the store's keys
  // What an update says that is not known.
  struct News {
    std::map<LeaseKey, const Lease*> leases;
    std::set<LeaseKey> gone;
  };

  News compare(const LeaseUpdate& update);
  void set(Entry& entry, const Lease& lease) const;
  void apply_all(const News& news);
  void apply_few(const News& news, PeersDelta& delta);
  void release(const LeaseKey& key, Entry& entry, PeersDelta& delta);
  unsigned rank(const LeaseKey& key, const Entry& entry) const;
  std::optional<std::string> claim(const LeaseKey& key, Entry& entry, Family family);
  Claim claim_of(const Entry& entry, Family family) const;
  bool shares_mac(const Entry& entry) const;
  bool evaluate(const LeaseKey& key, Entry& entry);
  void list_refused();

  LeaseValidator validator_;
  VtepMacOf vtep_mac_;
  // Everything that parsed, our own included.
  Entries all_;
  Claims claims_;               // of those in use
  bool has_conflicts_ = false;  // some part is refused for what another peer has
  std::size_t usable_count_ = 0;
  // What a bad entry said before is not true any more, but it stays: an entry that cannot be read
  // is no departure.
  BadEntries bad_;
  std::map<LeaseKey, std::string> refusals_;
  std::vector<Refused> refused_;  // what is bad and what is refused, by name
};

}  // namespace flannel

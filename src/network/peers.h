// The other nodes, as far as their leases can be believed.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "network/lease.h"
#include "network/network_config.h"

namespace flannel {

// A lease or entry we do not act on, and why, in words for an operator.
struct Refused {
  std::string name;  // the key's text
  std::string reason;
  bool operator==(const Refused&) const = default;
};

// Follows a store's watch. What others publish is not trusted: a lease outside Network, one that
// overlaps ours or that of a peer already in use, or one with our own public address, is refused
// by name, and the rest are not affected.
class Peers {
 public:
  Peers(NetworkConfig network, Lease own);

  // A snapshot replaces everything (full comparison); otherwise changes are added. True where
  // usable() or refused() differ from before.
  bool apply(const LeaseUpdate& update);
  // After the own lease was taken anew.
  void set_own(Lease own);

  // In the order of their keys, our own never among them.
  std::span<const Lease> usable() const { return usable_; }
  std::span<const Refused> refused() const { return refused_; }
  // Leases of others that are known, and that a list of all leases lacks.
  std::vector<Lease> missing_from(std::span<const Lease> leases) const;
  // The store's entry for our own key, where it has one; how the daemon notices that its lease
  // is gone or somebody else's.
  const Lease* own_entry() const;

 private:
  class Ranges;

  std::optional<std::string> objection(const Lease& lease, Family family) const;
  LeaseKey usable_part(const Lease& lease, Ranges& taken, std::string& reasons) const;
  void judge();
  struct Entry {
    Lease lease;
    bool in_use = false;  // it, or a part of it, is in usable_
    bool is_new = true;   // and differs from what is there
    const LeaseKey& key() const { return lease.key; }
  };
  // An entry, and the part of its key that can be used.
  struct Used {
    LeaseKey key;
    Entry* entry;
  };
  bool merge(std::span<const Lease> leases, bool all);
  void replace_usable(std::span<const Used> used);

  NetworkConfig network_;
  Lease own_;
  // Everything that parsed, our own included, by key. Flat, since all of it is gone through with
  // each change.
  std::vector<Entry> all_;
  std::map<std::string, std::string> bad_;  // entry -> reason
  std::vector<Lease> usable_;
  std::vector<Refused> refused_;
};

}  // namespace flannel

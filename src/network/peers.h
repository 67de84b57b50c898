// The other nodes, as far as their leases can be believed.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/mac.h"
#include "network/claims.h"
#include "network/host_use.h"
#include "network/lease.h"
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

// Follows a store's watch. What others publish is not trusted: a lease outside Network or where the
// host has addresses of its own, one that overlaps ours or that of a peer already in use, one with
// such a peer's MAC, or one with a public address that no other node can have, is refused by name,
// and the rest are not affected. Those in use stay before newcomers; among newcomers, as after a
// restart, leases of SubnetLen come first, then longer before shorter, then by their keys.
class Peers {
 public:
  Peers(NetworkConfig network, Lease own, VtepMacOf vtep_mac = {});

  // A snapshot replaces everything (full comparison); otherwise changes are added. True where
  // usable() or refused() differ from before.
  bool apply(const LeaseUpdate& update);
  // After the own lease was taken anew.
  void set_own(Lease own);
  // What the host uses of addresses now; true where usable() or refused() may differ from before.
  bool set_host(HostUse host);

  const HostUse& host() const { return host_; }

  // In the order of their keys, our own never among them.
  std::span<const Lease> usable() const { return usable_; }
  std::span<const Refused> refused() const { return refused_; }
  // Leases of others that are known, and that a list of all leases lacks.
  std::vector<Lease> missing_from(std::span<const Lease> leases) const;

 private:
  struct Entry {
    Lease lease;
    std::array<std::optional<Mac>, 2> macs;  // a family each
    bool in_use = false;                     // it, or a part of it, is in usable_
    bool is_new = true;                      // and differs from what is there
    const LeaseKey& key() const { return lease.key; }
  };
  std::optional<std::string> objection(const Lease& lease, Family family) const;
  std::optional<std::string> address_objection(const Lease& lease, Family family) const;
  LeaseKey usable_part(const Entry& entry, Claims& claims, std::string& reasons) const;
  std::vector<Entry*> in_order_of_claims();
  void judge();
  void look_at_host();
  Entry make_entry(Lease lease) const;
  // An entry, and the part of its key that can be used.
  struct Used {
    LeaseKey key;
    Entry* entry;
  };
  bool merge(std::span<const Lease> leases, bool all);
  void replace_usable(std::span<const Used> used);
  bool take_bad(const LeaseUpdate& update);
  bool forget_bad(const std::string& name);

  NetworkConfig network_;
  Lease own_;
  VtepMacOf vtep_mac_;
  HostUse host_;
  // Of host_, sorted: what peers' subnets must not overlap, and what their public addresses must
  // not be.
  std::vector<OccupiedRange> occupied_;
  std::vector<std::pair<IpAddr, std::string>> local_addresses_;  // and what they are
  // Everything that parsed, our own included, by key. Flat, since all of it is gone through with
  // each change.
  std::vector<Entry> all_;
  // Entries that cannot be read and why: kMostBadEntries at most, since anybody who may write
  // leases can make millions; and about how many more there are, of which nothing is kept.
  std::map<std::string, std::string> bad_;
  std::size_t more_bad_ = 0;
  std::vector<Lease> usable_;
  std::vector<Refused> refused_;
};

}  // namespace flannel

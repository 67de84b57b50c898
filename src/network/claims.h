// What only one node can have: a subnet, a VTEP's MAC, the place of a node's own address.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>

#include "base/ip.h"
#include "base/mac.h"

namespace flannel {

// One family's part of a lease, as far as others must not have the same.
struct Claim {
  Prefix subnet;
  IpAddr public_address;
  std::optional<Mac> mac;  // of the VTEP; nothing where the backend has none
  // The public address lies in the network of the subnets, as it may where the underlay does.
  bool address_in_network = false;
};

// Those who come first have it: each claim is granted where it contradicts none granted before.
// Logarithmic in their number; constant behind all that are granted already, as claims come in
// order of their subnets.
class Claims {
 public:
  // What a node has itself comes before all.
  void take_own_mac(Family family, const std::optional<Mac>& mac);
  // Nothing where it is granted, else why not.
  std::optional<std::string> take(const Claim& claim);
  // Of one that is granted.
  void release(const Claim& claim);
  // Whether another claim was granted with the MAC of this one, which is.
  bool shares_mac(const Claim& claim) const;

 private:
  struct Owner {
    std::optional<Prefix> subnet;  // nothing: ourselves
    IpAddr public_address;
  };
  struct Granted {
    std::set<Prefix> subnets;  // disjoint
    std::multiset<IpAddr> addresses_in_network;
    std::unordered_multimap<std::uint64_t, Owner> macs;  // by their numbers

    // The subnet that overlaps `prefix`, if any.
    const Prefix* overlapping(const Prefix& prefix) const;
    std::optional<std::string> mac_conflict(const Claim& claim) const;
  };

  Granted& granted(Family family) { return granted_[family == Family::v4 ? 0 : 1]; }

  std::array<Granted, 2> granted_;
};

}  // namespace flannel

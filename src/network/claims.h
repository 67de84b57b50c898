// What only one node can have: a subnet, a VTEP's MAC, the place of a node's own address.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

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
// Logarithmic in their number; at the end of what is granted already, as claims come in order of
// their subnets, constant.
class Claims {
 public:
  // For about `most` claims a family.
  explicit Claims(std::size_t most);

  // What a node has itself comes before all.
  void take_own_mac(Family family, const std::optional<Mac>& mac);
  // Nothing where it is granted, else why not.
  std::optional<std::string> take(const Claim& claim);

 private:
  // Disjoint prefixes.
  class Ranges {
   public:
    // The one that overlaps `prefix`, if any.
    const Prefix* overlapping(const Prefix& prefix) const;
    void add(const Prefix& prefix);

   private:
    std::vector<Prefix> in_order_;
    std::set<Prefix> late_;  // those that came behind a greater one
  };
  // MACs and whose they are, in a flat hash table: it is filled with each change of a peer.
  class MacOwners {
   public:
    explicit MacOwners(std::size_t most);
    struct Owner {
      std::uint64_t mac = 0;         // its number + 1; 0 is an empty slot
      std::optional<Prefix> subnet;  // nothing: ourselves
      IpAddr public_address;
    };
    // The slot of `mac`, which is its own or empty.
    Owner& slot(const Mac& mac);

   private:
    std::vector<Owner> slots_;
  };
  struct Granted {
    Ranges subnets;
    std::set<IpAddr> addresses_in_network;
    std::optional<MacOwners> macs;
  };

  MacOwners& macs(Granted& granted);
  Granted& granted(Family family) { return granted_[family == Family::v4 ? 0 : 1]; }

  std::size_t most_;
  std::array<Granted, 2> granted_;
};

}  // namespace flannel

// Which subnet a joining node takes: the rule every store follows.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "network/lease.h"
#include "network/network_config.h"

namespace flannel {

struct AcquireRequest {
  NetworkConfig network;
  LeaseAttrs attrs;
  LeaseKey previous;          // from subnet.env; empty where it had none
  std::vector<Prefix> avoid;  // what the host uses itself: no new subnet is chosen there
};

struct Choice {
  LeaseKey key;
  bool reuse = false;             // overwrite our own entry; otherwise create, if still absent
  bool permanent = false;         // it is a reservation: write it back without expiry
  std::vector<LeaseKey> discard;  // own entries that no longer fit the configuration
};

// A number from 0 to `bound` - 1.
using RandomBelow = std::function<Uint128(Uint128 bound)>;
RandomBelow random_below();

// In this order: the entry that has our public addresses (of the enabled families), if it fits
// the configuration; the previous subnet, if free and fitting; any free subnet between SubnetMin
// and SubnetMax that the host does not use itself, each as likely as another; where there is none,
// one that a link of the host has exactly, as the bridge of former containers does. The first two
// are kept wherever they lie: pods have addresses there. Error: `out of subnets`.
Result<Choice> choose_subnet(const AcquireRequest& request, std::span<const Lease> leases,
                             const RandomBelow& random);

}  // namespace flannel

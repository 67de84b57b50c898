// Whether a host can choose source ports fully at random (`--random-fully`, `fully-random`).
#pragma once

#include <string_view>

#include "firewall/plan.h"

namespace flannel {

// From iptables 1.6.2 on. `version` is what `iptables --version` prints; true where that says none.
bool iptables_takes_random_fully(std::string_view version);

// Asks the kernel for a trial of the rules of `network`. True where it cannot be told, so that the
// reason is told of the rules themselves.
bool nft_takes_random_fully(const FirewallNetwork& network);

}  // namespace flannel

// Which firewall rules a node should have: a pure function.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "firewall/names.h"
#include "kernel/table.h"

namespace flannel {

// One family of the overlay.
struct FirewallNetwork {
  Prefix network;  // of all nodes
  Prefix subnet;   // of this one
};

struct FirewallOptions {
  FirewallTool tool = FirewallTool::iptables;
  bool masquerade = false;     // what pods send out of the overlay, and what enters it from outside
  bool random_fully = true;    // source ports at random (NF_NAT_RANGE_PROTO_RANDOM_FULLY)
  bool forward_rules = false;  // forwarded packets of the overlay are accepted
  // Where packets of pods go with their own source address although they leave the overlay; any
  // family.
  std::vector<Prefix> excluded;
};

// The Go flannel's rules, in its order and with its comments, so that what greps for them finds
// them: per family and table one row, none for a family without a network and for a table without
// rules. By the names that end in `suffix`.
Table<Ruleset> plan_firewall(std::span<const FirewallNetwork> networks,
                             const FirewallOptions& options, std::string_view suffix = "");

// Each is a rule that every packet which leaves the overlay is compared with, and all of them are
// one message to the kernel.
inline constexpr std::size_t kMostExcluded = 256;

// Networks that may be excluded, kMostExcluded at most: each a network address, neither everything
// nor multicast, which is never masqueraded, apart from the overlay's networks and from each other.
// The error names the value. The same twice counts once.
Result<std::vector<Prefix>> parse_excluded(std::span<const std::string> values,
                                           std::span<const FirewallNetwork> networks);

}  // namespace flannel

// Which firewall rules a node should have: a pure function.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "kernel/ruleset.h"
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
// rules.
Table<Ruleset> plan_firewall(std::span<const FirewallNetwork> networks,
                             const FirewallOptions& options);

// Each is a rule that every packet which leaves the overlay is compared with, and all of them are
// one message to the kernel.
inline constexpr std::size_t kMostExcluded = 256;

// Networks that may be excluded, kMostExcluded at most: each a network address, neither everything
// nor multicast, which is never masqueraded, apart from the overlay's networks and from each other.
// The error names the value. The same twice counts once.
Result<std::vector<Prefix>> parse_excluded(std::span<const std::string> values,
                                           std::span<const FirewallNetwork> networks);

// Our names in the kernel.
inline constexpr std::string_view kMasqueradeChain = "FLANNEL-POSTRTG";
inline constexpr std::string_view kForwardChain = "FLANNEL-FWD";
inline constexpr std::string_view kMasqueradeComment = "flanneld masq";
inline constexpr std::string_view kForwardComment = "flanneld forward";
// `flannel-ipv4`, `flannel-ipv6`
std::string_view nft_table_name(Family family);
inline constexpr std::array<std::string_view, 2> kNftChains = {"postrtg", "forward"};

}  // namespace flannel

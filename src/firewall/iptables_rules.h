// Our part of a table of iptables as text: found in a listing, and the input that makes it another.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "firewall/plan.h"
#include "kernel/ruleset.h"

namespace flannel {

// A chain of ours, and where it is jumped to from.
struct IptablesPlace {
  std::string_view table, from, chain, comment;
};
inline constexpr std::array kIptablesPlaces = {
    IptablesPlace{"nat", "POSTROUTING", kMasqueradeChain, kMasqueradeComment},
    IptablesPlace{"filter", "FORWARD", kForwardChain, kForwardComment},
};
// That of a table which has one.
const IptablesPlace& iptables_place(std::string_view table);

// What is ours of a listing, be it from `iptables -S` of both chains or `iptables-save`: our chain,
// the rules elsewhere that jump to it or bear our comment, as all rules of the Go flannel did
// before it had a chain, and the rules in our chain. In this order, counters 0; empty: nothing.
std::vector<std::string> our_iptables_lines(const IptablesPlace& place, std::string_view listing);

// A table's part of the input of `iptables-restore --noflush` that makes `have` into `want`, either
// of which may be nothing. A jump that is there stays where it is; one that is missing comes behind
// the rules of others.
std::string iptables_restore_input(const IptablesPlace& place, const std::vector<std::string>& have,
                                   const std::vector<std::string>& want);

}  // namespace flannel

// Our part of a table of iptables as text: found in a listing, and the input that makes it another.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "firewall/names.h"

namespace flannel {

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

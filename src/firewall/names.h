// What our chains and tables are called in the kernel: as the Go flannel's, with a suffix where
// another daemon of the node has these names already.
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "base/ip.h"
#include "kernel/ruleset.h"

namespace flannel {

// A chain of ours in a table of iptables, where it is jumped to from, and the comment of its rules.
struct IptablesPlace {
  std::string_view table, from;
  std::string chain, comment;
};
// The built-in chain of `nat` or `filter` that leads to ours.
std::string_view iptables_from(std::string_view table);
// That for masquerading and that for forwarding.
std::array<IptablesPlace, 2> iptables_places(std::string_view suffix = "");

Ruleset::Key iptables_key(Family family, const IptablesPlace& place);
// The place of such a key.
IptablesPlace iptables_place(const Ruleset::Key& key);

// `flannel-ipv4`, `flannel-ipv6`
std::string nft_table_name(Family family, std::string_view suffix = "");
Ruleset::Key nft_key(Family family, std::string_view suffix = "");
// Of such a table, in the order of places.
inline constexpr std::array<std::string_view, 2> kNftChains = {"postrtg", "forward"};

}  // namespace flannel

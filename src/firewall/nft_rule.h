// Rules as the expressions that the kernel runs, one behind the other
// (include/uapi/linux/netfilter/nf_tables.h).
#pragma once

#include <optional>
#include <string>

#include "base/ip.h"
#include "firewall/rule.h"
#include "kernel/netlink_message.h"

namespace flannel {

// Puts NFTA_RULE_EXPRESSIONS into a message, the same expressions as the program nft makes of the
// rule's text.
void put_nft_expressions(netlink::Batch& batch, const FirewallRule& rule);

// What NFTA_RULE_EXPRESSIONS of a table of `family` stands for; nothing where it is no rule of
// these shapes.
std::optional<FirewallRule> decode_nft_expressions(netlink::Bytes expressions, Family family);

// The attributes of a rule as `nft list` prints it where it is of a shape that we know, else as a
// line that begins with `#` and names the expressions.
std::string nft_rule_line(netlink::Bytes attributes, Family family);

}  // namespace flannel

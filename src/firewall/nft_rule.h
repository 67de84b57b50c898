// Rules as the kernel has them: where they are, and the expressions that it runs, one behind the
// other (include/uapi/linux/netfilter/nf_tables.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/ip.h"
#include "firewall/rule.h"
#include "kernel/netlink_message.h"

namespace flannel {

// Which rule of a chain it is, whatever it does.
struct NftRule {
  std::string table, chain, comment;
  std::uint64_t handle = 0;  // the kernel's number for it, by which it can be deleted
  bool operator==(const NftRule&) const = default;
};

// The attributes of a rule as the kernel lists it (NFT_MSG_NEWRULE, behind its header).
NftRule decode_nft_rule(netlink::Bytes attributes);

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

// The tables of the older iptables, as the kernel has them: one block of entries a table
// (include/uapi/linux/netfilter_ipv4/ip_tables.h, netfilter_ipv6/ip6_tables.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "firewall/forward_rule.h"
#include "firewall/iptables_rules.h"
#include "kernel/netlink_message.h"

namespace flannel {

struct LegacyTable {
  std::vector<std::uint8_t> entries;
  // Where the chain FORWARD begins, and the entry that is its policy; bytes from the first entry.
  std::size_t forward = 0, forward_policy = 0;
};
// Nothing where this network namespace has no such table: asking for one would make it. Throws
// std::system_error.
std::optional<LegacyTable> read_legacy_table(Family family, std::string_view table);

// What is ours of them: see iptables_fingerprint.h.
struct OurRules {
  // Our chain, and the rules elsewhere that jump to it or bear our comment: the kernel's bytes but
  // counters and what moves with the rules of others. Empty: nothing.
  std::string bytes;
  std::size_t rules = 0, jumps = 0;  // in our chain, elsewhere
  bool operator==(const OurRules&) const = default;
};
OurRules our_legacy_rules(Family family, const IptablesPlace& place, netlink::Bytes entries);

// The rules of a table `filter`, seen from its chain FORWARD, whose policy is one of them.
std::vector<ForwardRule> legacy_forward_rules(Family family, const LegacyTable& table,
                                              const PodPackets& pods);

}  // namespace flannel

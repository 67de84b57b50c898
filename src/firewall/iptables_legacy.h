// The tables of the older iptables, as the kernel has them: one block of entries a table
// (include/uapi/linux/netfilter_ipv4/ip_tables.h, netfilter_ipv6/ip6_tables.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/ip.h"
#include "firewall/forward_rule.h"
#include "firewall/iptables_rules.h"
#include "kernel/netlink_message.h"

namespace flannel {

struct LegacyTable {
  std::vector<std::uint8_t> entries;
  // Where the chain begins that ours are jumped to from (IptablesPlace::from), and the entry that
  // is its policy; bytes from the first entry.
  std::size_t from = 0, from_policy = 0;

  bool is_in_from(std::size_t offset) const { return offset >= from && offset <= from_policy; }
};
// Whether this network namespace has such a table; asking for the table itself would make it.
// Throws std::system_error where that cannot be told.
bool has_legacy_table(Family family, std::string_view table);
// Nothing where it has none. Throws std::system_error.
std::optional<LegacyTable> read_legacy_table(Family family, std::string_view table);

// Whether the network namespace that this is made in has any such table. Asked in every pass, so
// that the kernel's lists of them stay open: to open both takes 30 us.
class LegacyTables {
 public:
  LegacyTables();
  // False too where that cannot be told.
  bool any() const;

 private:
  std::array<UniqueFd, 2> names_;  // none where the kernel has no such tables (yet)
};

// What is ours of them: see iptables_fingerprint.h.
struct OurRules {
  // Our chain, and the rules of `IptablesPlace::from` that jump to it or bear our comment: the
  // kernel's bytes but counters and what moves with the rules of others. Empty: nothing.
  std::string bytes;
  std::size_t rules = 0, jumps = 0;  // in our chain, in the other
  bool operator==(const OurRules&) const = default;
};
OurRules our_legacy_rules(Family family, const IptablesPlace& place, const LegacyTable& table);

// The rules of a table `filter`, seen from its chain FORWARD, whose policy is one of them.
std::vector<ForwardRule> legacy_forward_rules(Family family, const LegacyTable& table,
                                              const PodPackets& pods);

}  // namespace flannel

// The shapes of rule that flannel needs, and their text with each tool.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/ip.h"

namespace flannel {

struct PrefixMatch {
  Prefix prefix;  // host bits cleared, length not 0
  bool negated = false;
  bool operator==(const PrefixMatch&) const = default;
};

struct FirewallRule {
  enum class Verdict : std::uint8_t {
    accept,
    return_to_caller,
    masquerade,
    masquerade_fully_random
  };

  std::uint32_t mark = 0;  // of the packet; 0: any
  std::optional<PrefixMatch> source, destination;
  Verdict verdict = Verdict::accept;
  bool operator==(const FirewallRule&) const = default;
};

// What stands behind `-A CHAIN` in what iptables-save prints. The mark is compared under itself as
// the mask.
std::string iptables_text(const FirewallRule& rule, std::string_view comment);

// What `nft list` prints for it in a table of one family, `ip` or `ip6`. The mark is compared as a
// whole.
std::string nft_text(const FirewallRule& rule);

// The rule that nft_text() makes exactly this of; nothing where there is none.
std::optional<FirewallRule> parse_nft_rule(std::string_view text);

}  // namespace flannel

// Firewall rules of one table.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "kernel/kind.h"

namespace flannel {

enum class FirewallTool : std::uint8_t { iptables, nftables };
// `iptables`, `nftables`
constexpr std::string_view to_text(FirewallTool tool) {
  return tool == FirewallTool::iptables ? "iptables" : "nftables";
}

// All that one daemon has in one table: replaced in one transaction, so that no packet sees a part
// of it.
struct Ruleset {
  struct Key {
    FirewallTool tool = FirewallTool::iptables;
    Family family = Family::v4;
    std::string table;  // `nat`, `filter`; with nftables a table of our own, `flannel-ipv4`
    std::string chain;  // of ours in the table, `FLANNEL-FWD`; empty with nftables
    auto operator<=>(const Key&) const = default;
  } key;
  // As `iptables-save` prints our chains, the jumps to them and their rules, in this order,
  // counters 0; as `nft list table` prints our table.
  std::vector<std::string> lines;
  bool operator==(const Ruleset&) const = default;

  // `rules iptables IPv4 nat`, then the lines, indented by two spaces and two more a tab.
  std::string text() const;
};

}  // namespace flannel

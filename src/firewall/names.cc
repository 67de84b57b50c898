#include "firewall/names.h"

#include <fmt/format.h>

namespace flannel {
namespace {

constexpr std::string_view kMasqueradeTable = "nat", kForwardTable = "filter";

}  // namespace

std::string_view iptables_from(std::string_view table) {
  return table == kMasqueradeTable ? "POSTROUTING" : "FORWARD";
}

std::array<IptablesPlace, 2> iptables_places(std::string_view suffix) {
  const auto ours = [suffix](std::string_view name) { return fmt::format("{}{}", name, suffix); };
  return {{{kMasqueradeTable, iptables_from(kMasqueradeTable), ours("FLANNEL-POSTRTG"),
            ours("flanneld masq")},
           {kForwardTable, iptables_from(kForwardTable), ours("FLANNEL-FWD"),
            ours("flanneld forward")}}};
}

Ruleset::Key iptables_key(Family family, const IptablesPlace& place) {
  return {FirewallTool::iptables, family, std::string(place.table), place.chain};
}

IptablesPlace iptables_place(const Ruleset::Key& key) {
  const auto of_table = [&key](std::string_view suffix) {
    return iptables_places(suffix)[key.table == kMasqueradeTable ? 0 : 1];
  };
  return of_table(std::string_view(key.chain).substr(of_table("").chain.size()));
}

std::string nft_table_name(Family family, std::string_view suffix) {
  return fmt::format("{}{}", family == Family::v4 ? "flannel-ipv4" : "flannel-ipv6", suffix);
}

Ruleset::Key nft_key(Family family, std::string_view suffix) {
  return {FirewallTool::nftables, family, nft_table_name(family, suffix), {}};
}

}  // namespace flannel

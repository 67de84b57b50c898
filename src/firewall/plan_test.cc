// The rules of every set of options, as the tools print them.
#include "firewall/plan.h"

#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include "firewall/nft_table.h"
#include "firewall/random_fully.h"
#include "firewall/rule.h"

namespace flannel {
namespace {

const FirewallNetwork kV4 = {*Prefix::parse("10.5.0.0/16"), *Prefix::parse("10.5.1.0/24")};
const FirewallNetwork kV6 = {*Prefix::parse("fd00:5::/48"), *Prefix::parse("fd00:5:0:1::/64")};

constexpr std::string_view kNatV4 =
    R"(:FLANNEL-POSTRTG - [0:0]
-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s 10.5.1.0/24 -d 10.5.0.0/16 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s 10.5.0.0/16 -d 10.5.1.0/24 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG ! -s 10.5.0.0/16 -d 10.5.1.0/24 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s 10.5.0.0/16 ! -d 224.0.0.0/4 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
-A FLANNEL-POSTRTG ! -s 10.5.0.0/16 -d 10.5.0.0/16 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
)";
constexpr std::string_view kFilterV4 =
    R"(:FLANNEL-FWD - [0:0]
-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
-A FLANNEL-FWD -s 10.5.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
-A FLANNEL-FWD -d 10.5.0.0/16 -m comment --comment "flanneld forward" -j ACCEPT
)";
constexpr std::string_view kNatV6 =
    R"(:FLANNEL-POSTRTG - [0:0]
-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s fd00:5:0:1::/64 -d fd00:5::/48 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s fd00:5::/48 -d fd00:5:0:1::/64 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG ! -s fd00:5::/48 -d fd00:5:0:1::/64 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s fd00:5::/48 ! -d ff00::/8 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
-A FLANNEL-POSTRTG ! -s fd00:5::/48 -d fd00:5::/48 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
)";
constexpr std::string_view kNftV4 =
    R"(table ip flannel-ipv4 {
	comment "rules for flannel-ipv4"
	chain postrtg {
		comment "chain to manage traffic masquerading by flannel"
		type nat hook postrouting priority srcnat; policy accept;
		meta mark 0x00004000 return
		ip saddr 10.5.1.0/24 ip daddr 10.5.0.0/16 return
		ip saddr 10.5.0.0/16 ip daddr 10.5.1.0/24 return
		ip saddr != 10.5.1.0/24 ip daddr 10.5.0.0/16 return
		ip saddr 10.5.0.0/16 ip daddr != 224.0.0.0/4 masquerade fully-random
		ip saddr != 10.5.0.0/16 ip daddr 10.5.0.0/16 masquerade fully-random
	}

	chain forward {
		comment "chain to accept flannel traffic"
		type filter hook forward priority filter; policy accept;
		ip saddr 10.5.0.0/16 accept
		ip daddr 10.5.0.0/16 accept
	}
}
)";

std::string lines_of(const Table<Ruleset>& rows, FirewallTool tool, Family family,
                     const std::string& table) {
  const auto row = std::ranges::find_if(rows, [&](const Ruleset& each) {
    return each.key.tool == tool && each.key.family == family && each.key.table == table;
  });
  return row == rows.end() ? "none\n" : fmt::format("{}\n", fmt::join(row->lines, "\n"));
}

std::string lines_of(const FirewallNetwork& network, const FirewallOptions& options,
                     const std::string& table) {
  return lines_of(plan_firewall(std::span(&network, 1), options), options.tool,
                  network.network.family(), table);
}

// Lines of `text` that `other` does not have.
std::string only_in(const std::string& text, const std::string& other) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at) + 1;
    const std::string line = text.substr(at, end - at);
    out += other.find(line) == std::string::npos ? line : "";
    at = end;
  }
  return out;
}

FirewallOptions all_of(FirewallTool tool) {
  return {.tool = tool, .masquerade = true, .forward_rules = true, .excluded = {}};
}

TEST(FirewallPlan, IptablesAsTheReferenceHasThem) {
  const Table<Ruleset> rows = plan_firewall(std::array{kV4, kV6}, all_of(FirewallTool::iptables));
  EXPECT_EQ(rows.size(), 4U);
  EXPECT_EQ(lines_of(rows, FirewallTool::iptables, Family::v4, "nat"), kNatV4);
  EXPECT_EQ(lines_of(rows, FirewallTool::iptables, Family::v6, "nat"), kNatV6);
  EXPECT_EQ(lines_of(rows, FirewallTool::iptables, Family::v4, "filter"), kFilterV4);
  EXPECT_EQ(lines_of(rows, FirewallTool::iptables, Family::v6, "filter"),
            ":FLANNEL-FWD - [0:0]\n"
            "-A FORWARD -m comment --comment \"flanneld forward\" -j FLANNEL-FWD\n"
            "-A FLANNEL-FWD -s fd00:5::/48 -m comment --comment \"flanneld forward\" -j ACCEPT\n"
            "-A FLANNEL-FWD -d fd00:5::/48 -m comment --comment \"flanneld forward\" -j ACCEPT\n");
}

TEST(FirewallPlan, NftablesAsTheReferenceHasThem) {
  const Table<Ruleset> rows = plan_firewall(std::array{kV4, kV6}, all_of(FirewallTool::nftables));
  EXPECT_EQ(rows.size(), 2U);
  EXPECT_EQ(lines_of(rows, FirewallTool::nftables, Family::v4, "flannel-ipv4"), kNftV4);
  const std::string v6 = lines_of(rows, FirewallTool::nftables, Family::v6, "flannel-ipv6");
  EXPECT_EQ(only_in(v6, std::string(kNftV4)),
            "table ip6 flannel-ipv6 {\n"
            "\tcomment \"rules for flannel-ipv6\"\n"
            "\t\tip6 saddr fd00:5:0:1::/64 ip6 daddr fd00:5::/48 return\n"
            "\t\tip6 saddr fd00:5::/48 ip6 daddr fd00:5:0:1::/64 return\n"
            "\t\tip6 saddr != fd00:5:0:1::/64 ip6 daddr fd00:5::/48 return\n"
            "\t\tip6 saddr fd00:5::/48 ip6 daddr != ff00::/8 masquerade fully-random\n"
            "\t\tip6 saddr != fd00:5::/48 ip6 daddr fd00:5::/48 masquerade fully-random\n"
            "\t\tip6 saddr fd00:5::/48 accept\n"
            "\t\tip6 daddr fd00:5::/48 accept\n");
}

TEST(FirewallPlan, AFamilyAloneAndATableAlone) {
  for (const FirewallTool tool : {FirewallTool::iptables, FirewallTool::nftables}) {
    FirewallOptions options{.tool = tool, .excluded = {}};
    EXPECT_TRUE(plan_firewall(std::array{kV4, kV6}, options).empty());
    EXPECT_TRUE(plan_firewall({}, all_of(tool)).empty());
    options.masquerade = true;
    EXPECT_EQ(plan_firewall(std::array{kV6}, options).size(), 1U);
    options.masquerade = false;
    options.forward_rules = true;
    EXPECT_EQ(plan_firewall(std::array{kV4, kV6}, options).size(), 2U);
  }
  const FirewallOptions masquerade{
      .tool = FirewallTool::nftables, .masquerade = true, .excluded = {}};
  const std::string all(kNftV4);
  EXPECT_EQ(lines_of(kV4, masquerade, "flannel-ipv4"), all.substr(0, all.find("\n\n") + 1) + "}\n");
  const FirewallOptions forward{
      .tool = FirewallTool::nftables, .forward_rules = true, .excluded = {}};
  EXPECT_EQ(lines_of(kV4, forward, "flannel-ipv4"),
            all.substr(0, all.find("\tchain postrtg")) + all.substr(all.find("\tchain forward")));
}

TEST(FirewallPlan, WithoutRandomPorts) {
  FirewallOptions options = all_of(FirewallTool::iptables);
  options.random_fully = false;
  EXPECT_EQ(only_in(lines_of(kV4, options, "nat"), std::string(kNatV4)),
            "-A FLANNEL-POSTRTG -s 10.5.0.0/16 ! -d 224.0.0.0/4 -m comment --comment \"flanneld "
            "masq\" -j MASQUERADE\n"
            "-A FLANNEL-POSTRTG ! -s 10.5.0.0/16 -d 10.5.0.0/16 -m comment --comment \"flanneld "
            "masq\" -j MASQUERADE\n");
  options.tool = FirewallTool::nftables;
  EXPECT_EQ(only_in(lines_of(kV4, options, "flannel-ipv4"), std::string(kNftV4)),
            "\t\tip saddr 10.5.0.0/16 ip daddr != 224.0.0.0/4 masquerade\n"
            "\t\tip saddr != 10.5.0.0/16 ip daddr 10.5.0.0/16 masquerade\n");
}

TEST(FirewallPlan, WhatIsExcludedReturnsBeforeTheMasquerade) {
  FirewallOptions options = all_of(FirewallTool::iptables);
  options.excluded = {*Prefix::parse("192.0.2.0/24"), *Prefix::parse("2001:db8::/32"),
                      *Prefix::parse("198.51.100.7/32")};
  const std::string excluded =
      "-A FLANNEL-POSTRTG -s 10.5.0.0/16 -d 192.0.2.0/24 -m comment --comment \"flanneld masq\" "
      "-j RETURN\n"
      "-A FLANNEL-POSTRTG -s 10.5.0.0/16 -d 198.51.100.7/32 -m comment --comment \"flanneld "
      "masq\" -j RETURN\n";
  std::string nat(kNatV4);
  nat.insert(nat.find("-A FLANNEL-POSTRTG -s 10.5.0.0/16 ! -d"), excluded);
  EXPECT_EQ(lines_of(kV4, options, "nat"), nat);
  options.tool = FirewallTool::nftables;
  std::string table(kNftV4);
  table.insert(table.find("\t\tip saddr 10.5.0.0/16 ip daddr !="),
               "\t\tip saddr 10.5.0.0/16 ip daddr 192.0.2.0/24 return\n"
               "\t\tip saddr 10.5.0.0/16 ip daddr 198.51.100.7 return\n");
  EXPECT_EQ(lines_of(kV4, options, "flannel-ipv4"), table);
}

TEST(FirewallPlan, APlanLinesUpUnderItsName) {
  const FirewallOptions forward{
      .tool = FirewallTool::nftables, .forward_rules = true, .excluded = {}};
  EXPECT_EQ(plan_firewall(std::array{kV4}, forward).begin()->text(),
            "rules nftables IPv4 flannel-ipv4\n"
            "  table ip flannel-ipv4 {\n"
            "    comment \"rules for flannel-ipv4\"\n"
            "    chain forward {\n"
            "      comment \"chain to accept flannel traffic\"\n"
            "      type filter hook forward priority filter; policy accept;\n"
            "      ip saddr 10.5.0.0/16 accept\n"
            "      ip daddr 10.5.0.0/16 accept\n"
            "    }\n"
            "  }");
}

TEST(RandomFully, IsTakenByIptablesSince162) {
  for (const char* version :
       {"iptables v1.8.9 (nf_tables)\n", "ip6tables v1.6.2\n", "iptables v1.10", "iptables v2\n",
        "iptables v1.8.10 (legacy)", "", "iptables", "iptables vx"}) {
    EXPECT_TRUE(iptables_takes_random_fully(version)) << version;
  }
  for (const char* version :
       {"iptables v1.6.1\n", "iptables v1.4.21", "iptables v1.6", "v v0.9.9"}) {
    EXPECT_FALSE(iptables_takes_random_fully(version)) << version;
  }
}

TEST(NftTableText, WithoutCommentsIsTheSameBesides) {
  const Table<Ruleset> rows = plan_firewall(std::array{kV4}, all_of(FirewallTool::nftables));
  const Ruleset& row = *rows.begin();
  EXPECT_EQ(nft_lines(parse_nft_lines(row.lines), row.key), row.lines);
  const std::string without = fmt::format(
      "{}\n", fmt::join(nft_lines(without_comments(parse_nft_lines(row.lines)), row.key), "\n"));
  EXPECT_EQ(only_in(std::string(kNftV4), without),
            "\tcomment \"rules for flannel-ipv4\"\n"
            "\t\tcomment \"chain to manage traffic masquerading by flannel\"\n"
            "\t\tcomment \"chain to accept flannel traffic\"\n");
  EXPECT_EQ(only_in(without, std::string(kNftV4)), "");
}

std::string parsed(const std::vector<std::string>& values) {
  const Result<std::vector<Prefix>> out = parse_excluded(values, std::array{kV4, kV6});
  if (!out) {
    return out.error().text;
  }
  std::string text;
  for (const Prefix& prefix : *out) {
    text += prefix.to_text() + " ";
  }
  return text;
}

TEST(ExcludedNetworks, AreRefusedByName) {
  EXPECT_EQ(parsed({"192.0.2.0/24", "2001:db8::/32", "192.0.2.0/24", "198.51.100.7/32"}),
            "192.0.2.0/24 2001:db8::/32 198.51.100.7/32 ");
  EXPECT_EQ(parsed({}), "");
  EXPECT_EQ(parsed({"10.0.0.1"}), "\"10.0.0.1\" is no network, as 192.0.2.0/24 would be");
  EXPECT_EQ(parsed({"192.0.2.0/24\n-A X"}),
            "\"192.0.2.0/24\\x0a-A X\" is no network, as 192.0.2.0/24 would be");
  EXPECT_EQ(parsed({"192.0.2.1/24"}),
            "\"192.0.2.1/24\" is an address: its network is 192.0.2.0/24");
  EXPECT_EQ(parsed({"0.0.0.0/0"}), "\"0.0.0.0/0\" is every address: leave --ip-masq out instead");
  EXPECT_EQ(parsed({"ff02::/16"}), "\"ff02::/16\" is multicast, which is never masqueraded");
  EXPECT_EQ(parsed({"10.5.7.0/24"}), "\"10.5.7.0/24\" overlaps the network 10.5.0.0/16");
  EXPECT_EQ(parsed({"10.0.0.0/8"}), "\"10.0.0.0/8\" overlaps the network 10.5.0.0/16");
  EXPECT_EQ(parsed({"192.0.2.0/24", "192.0.0.0/16"}), "\"192.0.0.0/16\" overlaps \"192.0.2.0/24\"");
  EXPECT_EQ(parsed(std::vector<std::string>(257, "192.0.2.0/24")),
            "257 networks, of which 256 can be excluded");
}

TEST(NftRuleText, IsReadBackAsItWasWritten) {
  for (const FirewallNetwork& network : {kV4, kV6}) {
    for (const bool random : {false, true}) {
      FirewallOptions options = all_of(FirewallTool::nftables);
      options.random_fully = random;
      const Table<Ruleset> rows = plan_firewall(std::array{network}, options);
      std::size_t rules = 0;
      for (const std::string& line : rows.begin()->lines) {
        const std::string text = line.substr(std::min<std::size_t>(2, line.size()));
        if (const std::optional<FirewallRule> rule = parse_nft_rule(text)) {
          EXPECT_EQ(nft_text(*rule), text);
          ++rules;
        }
      }
      EXPECT_EQ(rules, 8U);
    }
  }
}

TEST(NftRuleText, AnyOtherTextIsNoRule) {
  for (const char* text :
       {"", "drop", "accept ", " accept", "ip saddr accept", "ip saddr 10.0.0.0/8",
        "ip saddr 10.0.0.1/8 accept ", "ip saddr 10.0.0.1/32 accept", "ip6 saddr 10.0.0.0/8 accept",
        "ip saddr 0.0.0.0/0 accept", "ip daddr 10.0.0.0/8 ip saddr 10.0.0.0/8 accept",
        "meta mark 0x4000 return", "meta mark 0x00000000 return", "meta mark 0x000040001 return",
        "masquerade random", "counter packets 0 bytes 0 accept"}) {
    EXPECT_FALSE(parse_nft_rule(text)) << text;
  }
}

}  // namespace
}  // namespace flannel

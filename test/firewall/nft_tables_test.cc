// Our tables of nftables on a real kernel, beside what the program nft makes and lists.
#include "firewall/nft_tables.h"

#include <linux/netfilter/nfnetlink.h>

#include <atomic>
#include <thread>

#include "firewall/random_fully.h"
#include "test/firewall/firewall_fixture.h"

namespace flannel {
namespace {

class NftTablesTest : public FirewallTest {
 protected:
  static std::vector<Ruleset> planned(const FirewallOptions& options) {
    const Table<Ruleset> rows = plan_firewall(std::array{kNetworkV4, kNetworkV6}, options);
    return {rows.begin(), rows.end()};
  }
  static Ruleset planned_v4() { return planned(options_of(FirewallTool::nftables)).front(); }

  static std::vector<FirewallOptions> every_option() {
    std::vector<FirewallOptions> all;
    for (const auto& [masquerade, random, forward, excluded] :
         {std::tuple(true, true, true, true), std::tuple(true, true, true, false),
          std::tuple(true, false, false, true), std::tuple(false, false, true, false)}) {
      all.push_back({.tool = FirewallTool::nftables,
                     .masquerade = masquerade,
                     .random_fully = random,
                     .forward_rules = forward,
                     .excluded = {}});
      if (excluded) {
        all.back().excluded = {*Prefix::parse("192.0.2.0/25"), *Prefix::parse("198.51.100.7/32"),
                               *Prefix::parse("2001:db8::/33"), *Prefix::parse("2001:dc8::1/128")};
      }
    }
    return all;
  }

  static std::string listed(const Ruleset::Key& key) {
    return shell(
        fmt::format("nft list table {} {}", key.family == Family::v4 ? "ip" : "ip6", key.table));
  }
  static void feed_nft(const std::string& commands) {
    const ProcessOutput output =
        run_process(*find_program("nft", kPrograms), {"-f", "-"}, commands);
    ASSERT_EQ(output.status, 0) << output.err << commands;
  }
  static void expect_done(const OpResult& result) { EXPECT_TRUE(result.ok()) << result.text; }

  NftTables tables_;
};

TEST_F(NftTablesTest, AreListedByNftAsPlanned) {
  for (const FirewallOptions& options : every_option()) {
    for (const Ruleset& want : planned(options)) {
      expect_done(tables_.check(want));
      EXPECT_NE(tables_.read_rules(want.key), want) << "a trial leaves nothing";
      expect_done(tables_.put(want));
      EXPECT_EQ(listed(want.key), text_of(want.lines));
      EXPECT_EQ(tables_.read_rules(want.key), want);
      expect_done(tables_.put(want));
      EXPECT_EQ(tables_.read_rules(want.key), want);
    }
  }
  for (const Ruleset& want : planned(every_option().front())) {
    expect_done(tables_.remove(want.key));
    expect_done(tables_.remove(want.key));
    EXPECT_EQ(tables_.read_rules(want.key), std::nullopt);
  }
  EXPECT_EQ(shell("nft list ruleset"), "");
}

TEST_F(NftTablesTest, RandomPortsAreAskedForByATrial) {
  EXPECT_TRUE(nft_takes_random_fully(kNetworkV4));
  EXPECT_EQ(shell("nft list ruleset"), "");
}

TEST_F(NftTablesTest, ThatNftMadeAreOurs) {
  for (const FirewallOptions& options : every_option()) {
    shell("nft flush ruleset");
    for (const Ruleset& want : planned(options)) {
      feed_nft(text_of(want.lines));
      EXPECT_EQ(tables_.read_rules(want.key), want);
    }
  }
}

TEST_F(NftTablesTest, NetworksOfEveryLength) {
  for (const Family family : kFamilies) {
    const IpAddr address =
        *IpAddr::parse(family == Family::v4 ? "203.99.171.151" : "fdb7:5a:a5c3:99:7e:1:ffff:8001");
    for (unsigned length = 1; length <= address.bits(); ++length) {
      const Prefix prefix = Prefix{address, static_cast<std::uint8_t>(length)}.masked();
      const FirewallNetwork network{prefix, prefix};
      const FirewallOptions options{
          .tool = FirewallTool::nftables, .masquerade = true, .excluded = {}};
      const Ruleset want = *plan_firewall(std::array{network}, options).begin();
      expect_done(tables_.put(want));
      EXPECT_EQ(listed(want.key), text_of(want.lines));
      EXPECT_EQ(tables_.read_rules(want.key), want);
    }
  }
}

struct Sabotage {
  const char* name;
  const char* commands;  // of nft
};

class NftSabotage : public NftTablesTest, public testing::WithParamInterface<Sabotage> {};

TEST_P(NftSabotage, IsSeenAndMended) {
  shell("nft add table ip others; nft add chain ip others c");
  const std::string others = shell("nft list table ip others");
  const Ruleset want = planned_v4();
  expect_done(tables_.put(want));
  feed_nft(GetParam().commands);
  EXPECT_NE(tables_.read_rules(want.key), want);
  expect_done(tables_.put(want));
  EXPECT_EQ(tables_.read_rules(want.key), want);
  EXPECT_EQ(listed(want.key), text_of(want.lines));
  EXPECT_EQ(shell("nft list table ip others"), others);
  feed_nft(GetParam().commands);
  expect_done(tables_.remove(want.key));
  EXPECT_EQ(tables_.read(want.key), std::nullopt);
}

INSTANTIATE_TEST_SUITE_P(
    Every, NftSabotage,
    testing::Values(
        Sabotage{"TableGone", "delete table ip flannel-ipv4"},
        Sabotage{"TableFlushed", "flush table ip flannel-ipv4"},
        Sabotage{"TableDormant", "add table ip flannel-ipv4 { flags dormant; }"},
        Sabotage{"ChainFlushed", "flush chain ip flannel-ipv4 postrtg"},
        Sabotage{"ChainGone",
                 "flush chain ip flannel-ipv4 postrtg\ndelete chain ip flannel-ipv4 postrtg"},
        Sabotage{"OtherChainGone",
                 "flush chain ip flannel-ipv4 forward\ndelete chain ip flannel-ipv4 forward"},
        Sabotage{"ChainsInAnotherOrder",
                 "flush chain ip flannel-ipv4 postrtg\ndelete chain ip flannel-ipv4 postrtg\n"
                 "add chain ip flannel-ipv4 postrtg { comment \"chain to manage traffic "
                 "masquerading by flannel\"; type nat hook postrouting priority srcnat; }"},
        Sabotage{"PolicyDrop", "add chain ip flannel-ipv4 forward { policy drop; }"},
        Sabotage{"ChainAtAnotherHook",
                 "flush chain ip flannel-ipv4 forward\ndelete chain ip flannel-ipv4 forward\n"
                 "add chain ip flannel-ipv4 forward { type filter hook input priority 7; }"},
        Sabotage{"ChainMore", "add chain ip flannel-ipv4 other"},
        Sabotage{"ChainMoreThatWeJumpTo",
                 "add chain ip flannel-ipv4 other\ninsert rule ip flannel-ipv4 postrtg jump other"},
        Sabotage{"ChainMoreThatJumpsToUs",
                 "add chain ip flannel-ipv4 other\nadd chain ip flannel-ipv4 another\n"
                 "add rule ip flannel-ipv4 other jump another"},
        Sabotage{"BaseChainMore",
                 "add chain ip flannel-ipv4 other { type filter hook output priority 0; }"},
        Sabotage{"SetMore", "add set ip flannel-ipv4 s { type ipv4_addr; }"},
        Sabotage{"MapThatJumps",
                 "add chain ip flannel-ipv4 other\n"
                 "add map ip flannel-ipv4 m { type ipv4_addr : verdict; }\n"
                 "add element ip flannel-ipv4 m { 10.0.0.1 : jump other }\n"
                 "add rule ip flannel-ipv4 forward ip saddr vmap @m"},
        Sabotage{"ChainWithoutANameThatWeJumpTo",
                 "add rule ip flannel-ipv4 forward ip saddr 10.0.0.1 jump { accept; }"},
        Sabotage{"ChainWithoutANameThatOthersJumpTo",
                 "add chain ip flannel-ipv4 other\n"
                 "add rule ip flannel-ipv4 other ip saddr 10.0.0.1 goto { accept; }"},
        Sabotage{"SetWithoutANameThatJumps",
                 "add chain ip flannel-ipv4 other\n"
                 "add rule ip flannel-ipv4 forward ip saddr vmap { 10.0.0.1 : jump other }"},
        Sabotage{"CounterMore", "add counter ip flannel-ipv4 c"},
        Sabotage{"RuleInFront", "insert rule ip flannel-ipv4 postrtg accept"},
        Sabotage{"RuleBehind", "add rule ip flannel-ipv4 forward drop"},
        Sabotage{"RuleTwice", "add rule ip flannel-ipv4 forward ip daddr 10.5.0.0/16 accept"},
        Sabotage{"RuleThatWeDoNotKnow",
                 "insert rule ip flannel-ipv4 postrtg tcp dport 80 counter log masquerade"},
        Sabotage{"RulesInAnotherOrder",
                 "flush chain ip flannel-ipv4 forward\n"
                 "add rule ip flannel-ipv4 forward ip daddr 10.5.0.0/16 accept\n"
                 "add rule ip flannel-ipv4 forward ip saddr 10.5.0.0/16 accept"},
        Sabotage{"RuleWithACounter",
                 "flush chain ip flannel-ipv4 forward\n"
                 "add rule ip flannel-ipv4 forward ip saddr 10.5.0.0/16 counter accept\n"
                 "add rule ip flannel-ipv4 forward ip daddr 10.5.0.0/16 accept"},
        Sabotage{"RuleWithAComment",
                 "flush chain ip flannel-ipv4 forward\n"
                 "add rule ip flannel-ipv4 forward ip saddr 10.5.0.0/16 accept\n"
                 "add rule ip flannel-ipv4 forward ip daddr 10.5.0.0/16 accept comment \"x\""},
        Sabotage{"RuleOfTheSourceAndTheDestinationExchanged",
                 "flush chain ip flannel-ipv4 postrtg\n"
                 "add rule ip flannel-ipv4 postrtg ip daddr 10.5.0.0/16 ip saddr 10.5.1.0/24 "
                 "return"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_F(NftTablesTest, OfThousandsOfRulesOfOthersTheFirstAreShown) {
  const Ruleset want = planned_v4();
  expect_done(tables_.put(want));
  std::string commands;
  for (int i = 0; i < 5000; ++i) {
    commands += fmt::format("add rule ip flannel-ipv4 forward tcp dport {} accept\n", i);
  }
  feed_nft(commands);
  const std::optional<Ruleset> have = tables_.read_rules(want.key);
  ASSERT_TRUE(have);
  EXPECT_LT(have->lines.size(), 200U);
  EXPECT_NE(text_of(have->lines).find("\t\t# another rule, of meta cmp payload cmp immediate\n"),
            std::string::npos);
  EXPECT_NE(text_of(have->lines).find("\t\t# 4902 more\n"), std::string::npos);
  expect_done(tables_.put(want));
  EXPECT_EQ(tables_.read_rules(want.key), want);
}

TEST_F(NftTablesTest, ARefusedTransactionLeavesWhatIsThere) {
  const Ruleset want = planned_v4();
  expect_done(tables_.put(want));
  Ruleset twice = want;
  twice.lines.pop_back();
  const auto forward = std::ranges::find(want.lines, "\tchain forward {");
  twice.lines.insert(twice.lines.end(), forward, want.lines.end());
  const OpResult refused = tables_.put(twice);
  EXPECT_EQ(refused.error, EEXIST);
  EXPECT_EQ(refused.text,
            "chain forward, type filter hook forward priority filter; policy accept;: File exists");
  EXPECT_EQ(tables_.read_rules(want.key), want);
  Ruleset unknown = want;
  unknown.lines[unknown.lines.size() - 3] = "\t\tip saddr 10.5.0.0/16 counter accept";
  EXPECT_EQ(tables_.put(unknown).text, "no rule of ours: ip saddr 10.5.0.0/16 counter accept");
  EXPECT_EQ(tables_.read_rules(want.key), want);
}

TEST_F(NftTablesTest, AnotherNetworkTakesThePlaceOfTheRulesAlone) {
  expect_done(tables_.put(planned_v4()));
  const auto handles = [] {
    return shell("nft -a list table ip flannel-ipv4 | grep -E '(table|chain) .*handle'");
  };
  const std::string before = handles();
  const FirewallNetwork other = {*Prefix::parse("10.6.0.0/16"), *Prefix::parse("10.6.9.0/24")};
  const FirewallOptions options = options_of(FirewallTool::nftables);
  expect_done(tables_.put(*plan_firewall(std::array{other}, options).begin()));
  EXPECT_EQ(handles(), before);
  EXPECT_EQ(shell("nft list ruleset").find("10.5."), std::string::npos);
}

TEST_F(NftTablesTest, AreNeverSeenWithoutTheirRules) {
  FirewallOptions options = options_of(FirewallTool::nftables);
  std::vector<Ruleset> sets = {planned(options).front()};
  options.excluded = {*Prefix::parse("192.0.2.0/24")};
  sets.push_back(planned(options).front());
  expect_done(tables_.put(sets[0]));
  std::atomic<bool> done = false;
  int looks = 0;
  std::thread watcher([&] {
    NftTables tables;  // in the same namespace: a thread has its parent's
    while (!done) {
      const std::optional<NftTable> table = tables.read(sets[0].key);
      ASSERT_TRUE(table);
      ASSERT_EQ(table->chains.size(), 2U);
      ASSERT_TRUE(table->chains[0].rules.size() == 6 || table->chains[0].rules.size() == 7);
      ++looks;
    }
  });
  for (int i = 0; i < 300; ++i) {
    expect_done(tables_.put(sets[static_cast<std::size_t>(i + 1) % 2]));
  }
  done = true;
  watcher.join();
  EXPECT_GT(looks, 0);
}

TEST_F(NftTablesTest, WhatIsToldSaysOfWhichTableAndChain) {
  netlink::NotificationSocket socket(NETLINK_NETFILTER, std::array{int{NFNLGRP_NFTABLES}});
  const auto told = [&] {
    std::string out;
    EXPECT_TRUE(socket.drain([&](const netlink::MessageView& message) {
      if (const std::optional<NftNews> news = decode_nft_news(message)) {
        const std::string each =
            fmt::format("{} {} {},", int{news->family}, news->table, news->chain);
        out += out.ends_with(each) ? "" : each;
      }
    }));
    return out;
  };
  expect_done(tables_.put(planned_v4()));
  EXPECT_EQ(told(), "2 flannel-ipv4 ,2 flannel-ipv4 postrtg,2 flannel-ipv4 forward,");
  shell(
      "nft add table ip6 others; nft add set ip6 others s \"{ type ipv6_addr; }\";"
      "nft add element ip6 others s { ::1 }; nft add chain ip6 others c;"
      "nft add rule ip6 others c accept; nft add counter ip6 others n");
  EXPECT_EQ(told(), "10 others ,10 others c,10 others ,");
  expect_done(tables_.check(planned_v4()));
  EXPECT_EQ(told(), "");
  shell("nft flush ruleset");
  EXPECT_NE(told().find("2 flannel-ipv4 ,"), std::string::npos);
}

}  // namespace
}  // namespace flannel

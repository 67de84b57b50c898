// Our rules in iptables, of either kind, beside what the programs list.
#include <poll.h>

#include <atomic>
#include <thread>

#include "base/directory_fixture.h"
#include "base/file.h"
#include "firewall/iptables_change.h"
#include "firewall/iptables_fingerprint.h"
#include "firewall/iptables_rules.h"
#include "test/firewall/firewall_fixture.h"

namespace flannel {
namespace {

// With `nft` or `legacy` as the host's iptables.
class IptablesTest : public FirewallTest, public testing::WithParamInterface<const char*> {
 protected:
  void SetUp() override {
    FirewallTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) {
      return;
    }
    for (const std::string name : {"iptables", "ip6tables"}) {
      for (const std::string suffix : {"", "-save", "-restore"}) {
        const std::optional<std::string> program =
            find_program(fmt::format("{}-{}{}", name, GetParam(), suffix), kPrograms);
        ASSERT_TRUE(program);
        std::filesystem::create_symlink(*program, directory_.file(name + suffix));
      }
    }
    ::setenv("XTABLES_LOCKFILE", directory_.file("lock").c_str(), 1);  // not the host's
    ::setenv("PATH", fmt::format("{}:{}", directory_.path().string(), kPrograms).c_str(), 1);
  }

  static std::vector<Ruleset> planned(Family family, const FirewallOptions& options) {
    const Table<Ruleset> rows =
        plan_firewall(std::array{family == Family::v4 ? kNetworkV4 : kNetworkV6}, options);
    return {rows.begin(), rows.end()};
  }
  static std::vector<Ruleset> planned(Family family) {
    return planned(family, options_of(FirewallTool::iptables));
  }

  static OpResult finish(IptablesChange& change) {
    for (;;) {
      if (const std::optional<OpResult> result = change.poll()) {
        return *result;
      }
      pollfd ready{change.fd(), POLLIN, 0};
      EXPECT_EQ(::poll(&ready, 1, 30'000), 1);
    }
  }
  // To `want`, from what the programs list.
  static OpResult change(const std::vector<Ruleset>& want) {
    std::vector<IptablesChange::Row> rows;
    for (const Ruleset& row : want) {
      rows.push_back({row.key, std::nullopt, row.lines});
    }
    IptablesChange change(want.front().key.family, std::move(rows));
    return finish(change);
  }
  static OpResult remove(Family family) {
    std::vector<Ruleset> rows = planned(family);
    for (Ruleset& row : rows) {
      row.lines.clear();
    }
    return change(rows);
  }
  static void expect_done(const OpResult& result) { EXPECT_TRUE(result.ok()) << result.text; }

  static std::string saved(Family family, std::string_view table = "") {
    return shell(fmt::format("{}-save {} | grep -v '^#' | sed 's/\\[[0-9:]*\\]/[0:0]/'",
                             family == Family::v4 ? "iptables" : "ip6tables",
                             table.empty() ? "" : fmt::format("-t {}", table)));
  }
  IptablesFingerprint fingerprint(const Ruleset::Key& key) {
    return read_iptables_fingerprint(socket_, key);
  }
  void expect_there(const std::vector<Ruleset>& want) {
    for (const Ruleset& row : want) {
      IptablesChange look(row.key.family, {{row.key, std::nullopt, row.lines}});
      expect_done(finish(look));
      EXPECT_TRUE(look.leaves(row.key));
      EXPECT_TRUE(fingerprint(row.key).may_be(row.lines));
      EXPECT_EQ(our_iptables_lines(iptables_place(row.key), saved(row.key.family, row.key.table)),
                row.lines);
    }
  }

  TestDirectory directory_;
  netlink::RequestSocket socket_{NETLINK_NETFILTER};
};

TEST_P(IptablesTest, AreListedAsPlannedAndGoWithoutATrace) {
  FirewallOptions options = options_of(FirewallTool::iptables);
  for (const Family family : kFamilies) {
    for (const Ruleset& row : planned(family)) {
      EXPECT_TRUE(fingerprint(row.key).empty());
    }
    const std::string others = family == Family::v4 ? "iptables" : "ip6tables";
    shell(fmt::format("{0} -t nat -A POSTROUTING -j ACCEPT; {0} -A FORWARD -j ACCEPT", others));
    const std::string before = saved(family);
    for (const bool random : {true, false}) {
      options.random_fully = random;
      options.excluded = {*Prefix::parse("192.0.2.0/25"), *Prefix::parse("198.51.100.7/32"),
                          *Prefix::parse("2001:db8::/33")};
      expect_done(change(planned(family, options)));
      expect_there(planned(family, options));
      expect_done(change(planned(family)));
      expect_there(planned(family));
    }
    expect_done(remove(family));
    EXPECT_EQ(saved(family), before);
    for (const Ruleset& row : planned(family)) {
      EXPECT_TRUE(fingerprint(row.key).empty());
    }
  }
}

TEST_P(IptablesTest, WhatIsAsWantedIsNotWritten) {
  expect_done(change(planned(Family::v4)));
  const std::string restore = directory_.file("iptables-restore");
  std::filesystem::remove(restore);
  std::filesystem::create_symlink("/bin/false", restore);
  expect_done(change(planned(Family::v4)));
  EXPECT_EQ(remove(Family::v4).text, "iptables-restore: ended with status 1");
  expect_there(planned(Family::v4));
}

TEST_P(IptablesTest, TheJumpComesBehindTheRulesOfOthersAndStaysWhereItIs) {
  shell("iptables -t nat -A POSTROUTING -s 192.0.2.1 -j ACCEPT");
  expect_done(change(planned(Family::v4)));
  shell("iptables -t nat -A POSTROUTING -s 192.0.2.2 -j ACCEPT");
  FirewallOptions options = options_of(FirewallTool::iptables);
  options.random_fully = false;
  expect_done(change(planned(Family::v4, options)));
  EXPECT_EQ(shell("iptables -t nat -S POSTROUTING"),
            "-P POSTROUTING ACCEPT\n"
            "-A POSTROUTING -s 192.0.2.1/32 -j ACCEPT\n"
            "-A POSTROUTING -m comment --comment \"flanneld masq\" -j FLANNEL-POSTRTG\n"
            "-A POSTROUTING -s 192.0.2.2/32 -j ACCEPT\n");
}

TEST_P(IptablesTest, RulesOfTheReferenceBeforeItHadAChainAreReplaced) {
  shell(
      "iptables-restore --noflush <<'END'\n*nat\n"
      "-A POSTROUTING -s 10.5.0.0/16 -d 10.5.0.0/16 -m comment --comment \"flanneld masq\" -j "
      "RETURN\n"
      "-A POSTROUTING -m comment --comment \"see -j FLANNEL-POSTRTG\" -j ACCEPT\n"
      "-A POSTROUTING -s 10.5.0.0/16 ! -d 224.0.0.0/4 -m comment --comment \"flanneld masq\" -j "
      "MASQUERADE --random-fully\nCOMMIT\n*filter\n"
      "-A FORWARD -s 10.5.0.0/16 -m comment --comment \"flanneld forward\" -j ACCEPT\nCOMMIT\nEND");
  expect_done(change(planned(Family::v4)));
  expect_there(planned(Family::v4));
  EXPECT_EQ(shell("iptables -t nat -S POSTROUTING"),
            "-P POSTROUTING ACCEPT\n"
            "-A POSTROUTING -m comment --comment \"see -j FLANNEL-POSTRTG\" -j ACCEPT\n"
            "-A POSTROUTING -m comment --comment \"flanneld masq\" -j FLANNEL-POSTRTG\n");
}

TEST_P(IptablesTest, EveryChangeOfAnotherIsSeenAndMended) {
  const std::vector<Ruleset> want = planned(Family::v4);
  const Ruleset::Key& nat = want.back().key;
  ASSERT_EQ(nat.table, "nat");
  expect_done(change(want));
  const IptablesFingerprint ours = fingerprint(nat);
  for (const std::string sabotage : {
           "-F FLANNEL-POSTRTG",
           "-D FLANNEL-POSTRTG 1",
           "-A FLANNEL-POSTRTG -j RETURN",
           "-I FLANNEL-POSTRTG -j ACCEPT",
           "-R FLANNEL-POSTRTG 2 -s 10.5.1.0/25 -d 10.5.0.0/16 -j RETURN",
           "-R FLANNEL-POSTRTG 5 -s 10.5.0.0/16 ! -d 224.0.0.0/4 -m comment --comment 'flanneld "
           "masq' -j MASQUERADE",
           "-R FLANNEL-POSTRTG 1 -m mark --mark 0x8000/0x8000 -m comment --comment 'flanneld masq' "
           "-j RETURN",
           "-R FLANNEL-POSTRTG 1 -m mark --mark 0x4000/0x4000 -m comment --comment 'another' -j "
           "RETURN",
           "-F POSTROUTING",
           "-F",
           "-A POSTROUTING -j FLANNEL-POSTRTG",
           "-I POSTROUTING -m comment --comment 'flanneld masq' -j FLANNEL-POSTRTG",
           "-A POSTROUTING -m comment --comment 'flanneld masq' -j ACCEPT",
       }) {
    shell("iptables -t nat " + sabotage);
    EXPECT_NE(fingerprint(nat), ours) << sabotage;
    expect_done(change(want));
    expect_there(want);
    EXPECT_EQ(fingerprint(nat), ours) << sabotage;
  }
  shell("iptables -t nat -F; iptables -t nat -X");
  EXPECT_TRUE(fingerprint(nat).empty());
  expect_done(change(want));
  EXPECT_EQ(fingerprint(nat), ours);
  shell(fmt::format("iptables-save -t nat >{0}; iptables -t nat -F; iptables-restore <{0}",
                    directory_.file("save")));
  EXPECT_EQ(fingerprint(nat), ours) << "the same rules";
}

TEST_P(IptablesTest, RulesOfOthersAndPacketsChangeNoFingerprint) {
  const std::vector<Ruleset> want = planned(Family::v4);
  expect_done(change(want));
  std::vector<IptablesFingerprint> ours;
  for (const Ruleset& row : want) {
    ours.push_back(fingerprint(row.key));
  }
  shell(
      "ip link set lo up; iptables -t nat -N OTHER; iptables -t nat -I POSTROUTING -j OTHER;"
      "iptables -t nat -A OTHER -s 192.0.2.1; iptables -N ANOTHER;"
      "iptables -t nat -A POSTROUTING -d 192.0.2.9 -j MASQUERADE; ping -c 1 127.0.0.1");
  for (std::size_t i = 0; i < want.size(); ++i) {
    EXPECT_EQ(fingerprint(want[i].key), ours[i]);
  }
}

TEST_P(IptablesTest, JumpsOfOthersAreNoneOfOursUntilTheChainGoes) {
  const std::vector<Ruleset> want = planned(Family::v4);
  expect_done(change(want));
  shell(
      "iptables -t nat -N OTHER; iptables -t nat -A OTHER -j FLANNEL-POSTRTG;"
      "iptables -t nat -A OUTPUT -g FLANNEL-POSTRTG; iptables -A INPUT -j FLANNEL-FWD");
  for (const Ruleset& row : want) {
    EXPECT_TRUE(fingerprint(row.key).may_be(row.lines)) << row.key.table;
  }
  expect_done(remove(Family::v4));
  EXPECT_EQ(saved(Family::v4).find("FLANNEL"), std::string::npos) << saved(Family::v4);
  EXPECT_NE(saved(Family::v4).find(":OTHER"), std::string::npos);
}

TEST_P(IptablesTest, ARunThatIsRefusedLeavesWhatIsThere) {
  const std::vector<Ruleset> want = planned(Family::v4);
  expect_done(change(want));
  std::vector<Ruleset> bad = want;
  bad.back().lines.back() = "-A FLANNEL-POSTRTG -j NOWHERE";
  const OpResult result = change(bad);
  EXPECT_EQ(result.error, EIO);
  EXPECT_TRUE(result.text.starts_with("iptables-restore: ")) << result.text;
  expect_there(want);
}

TEST_P(IptablesTest, WhatWasKnownAndIsNotSoIsListedAgain) {
  const std::vector<Ruleset> want = planned(Family::v4);
  std::vector<IptablesChange::Row> rows;
  for (const Ruleset& row : want) {
    rows.push_back({row.key, row.lines, row.lines});
  }
  rows.back().have->insert(rows.back().have->begin() + 1, "-A POSTROUTING -j FLANNEL-POSTRTG");
  IptablesChange change(Family::v4, rows);
  expect_done(finish(change));
  const std::vector<Ruleset> nat = {want.back()};
  expect_there(nat);
}

TEST_P(IptablesTest, WhileSomebodyHoldsTheLockNobodyWaits) {
  std::optional<Result<UniqueFd>> lock = lock_file(directory_.file("lock"), 0600);
  const std::vector<Ruleset> want = planned(Family::v4);
  IptablesChange change(Family::v4,
                        {{want.back().key, std::vector<std::string>(), want.back().lines}});
  if (GetParam() == std::string("legacy")) {  // the other kind has no lock
    EXPECT_FALSE(change.poll());
    pollfd ready{change.fd(), POLLIN, 0};
    while (::poll(&ready, 1, 200) == 1) {  // it says that it waits
      EXPECT_FALSE(change.poll());
      ready.fd = change.fd();
    }
    EXPECT_TRUE(fingerprint(want.back().key).empty());
  }
  lock.reset();
  expect_done(finish(change));
  EXPECT_TRUE(fingerprint(want.back().key).may_be(want.back().lines));
}

TEST_P(IptablesTest, AreNeverSeenWithoutTheirRules) {
  FirewallOptions options = options_of(FirewallTool::iptables);
  options.excluded = {*Prefix::parse("192.0.2.0/24")};
  const std::vector<std::vector<Ruleset>> sets = {planned(Family::v4),
                                                  planned(Family::v4, options)};
  expect_done(change(sets[0]));
  const Ruleset::Key nat = sets[0].back().key;
  std::atomic<bool> done = false;
  int looks = 0;
  std::thread watcher([&] {
    netlink::RequestSocket socket(NETLINK_NETFILTER);
    while (!done) {
      const IptablesFingerprint seen = read_iptables_fingerprint(socket, nat);
      const OurRules& rules = seen.legacy.bytes.empty() ? seen.nft : seen.legacy;
      ASSERT_EQ(rules.jumps, 1U);
      ASSERT_TRUE(rules.rules == 6 || rules.rules == 7) << rules.rules;
      ++looks;
    }
  });
  for (std::size_t i = 1; i < 40; ++i) {
    expect_done(change(sets[i % 2]));
  }
  done = true;
  watcher.join();
  EXPECT_GT(looks, 0);
}

INSTANTIATE_TEST_SUITE_P(Kinds, IptablesTest, testing::Values("nft", "legacy"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace flannel

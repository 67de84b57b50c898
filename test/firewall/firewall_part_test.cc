// Our rule sets as objects of the reconciler: both tools, on a real kernel.
#include <sys/mount.h>

#include "firewall/make_firewall_part.h"
#include "test/firewall/firewall_part_fixture.h"

namespace flannel {
namespace {

TEST_F(FirewallPartTest, WhatWasPutIsThereAlsoForAnotherDaemon) {
  for (const std::string kind : {"nft", "legacy"}) {
    use(kind);
    EXPECT_EQ(dump(), NetState());
    for (const FirewallTool tool : {FirewallTool::nftables, FirewallTool::iptables}) {
      EXPECT_EQ(apply(planned(tool)), "");
      EXPECT_EQ(dump(), planned(tool));
      start_again();
      EXPECT_EQ(apply(planned(tool)), "");
      EXPECT_EQ(written_, 0U);
      EXPECT_EQ(dump(), planned(tool));
      const FirewallNetwork other = {*Prefix::parse("10.6.0.0/16"), *Prefix::parse("10.6.9.0/24")};
      EXPECT_EQ(apply(planned(tool, other)), "");
      EXPECT_EQ(dump(), planned(tool, other));
    }
    EXPECT_EQ(apply(NetState()), "");
    EXPECT_EQ(dump(), NetState());
  }
}

TEST_F(FirewallPartTest, WhatOthersDoToOurRulesIsTold) {
  ASSERT_EQ(apply(planned(FirewallTool::nftables)), "");
  EXPECT_EQ(told(),
            "nftables IPv4 flannel-ipv4: table ip flannel-ipv4 {\n"
            "nftables IPv6 flannel-ipv6: table ip6 flannel-ipv6 {\n")
      << "the echo of what was done";
  shell("nft flush chain ip flannel-ipv4 postrtg; nft delete table ip6 flannel-ipv6");
  EXPECT_EQ(told(),
            "nftables IPv4 flannel-ipv4: table ip flannel-ipv4 {\n"
            "nftables IPv6 flannel-ipv6: gone\n");
  ASSERT_EQ(apply(planned(FirewallTool::iptables)), "");
  EXPECT_EQ(told().find("changed by others"), std::string::npos);
  EXPECT_EQ(told(), "");
  shell("iptables -t nat -D FLANNEL-POSTRTG 1; ip6tables -F FORWARD");
  EXPECT_EQ(told(),
            "iptables IPv4 nat: # changed by others\n"
            "iptables IPv6 filter: # changed by others\n");
  EXPECT_EQ(apply(planned(FirewallTool::iptables)), "");
  told();
  shell("nft flush ruleset");
  EXPECT_EQ(told(),
            "iptables IPv4 filter: gone\niptables IPv4 nat: gone\n"
            "iptables IPv6 filter: gone\niptables IPv6 nat: gone\n");
}

TEST_F(FirewallPartTest, RulesOfOthersAreNoNews) {
  for (const FirewallTool tool : {FirewallTool::nftables, FirewallTool::iptables}) {
    ASSERT_EQ(apply(planned(tool)), "");
    told();
    shell(
        "{ echo '*nat'; echo ':OTHERS - [0:0]'; i=0; while [ $i -lt 3000 ]; do"
        "  echo \"-A OTHERS -s 192.0.2.$((i % 256)) -j ACCEPT\"; i=$((i + 1)); done; echo COMMIT; }"
        "| iptables-restore --noflush; nft add table ip others; nft add chain ip others postrtg");
    const std::string news = told();
    EXPECT_EQ(news.find("changed by others"), std::string::npos) << news;
    EXPECT_EQ(dump(), planned(tool));
  }
}

TEST_F(FirewallPartTest, TheOlderKindIsLookedAtFromTimeToTime) {
  use("legacy");
  ASSERT_EQ(apply(planned(FirewallTool::iptables)), "");
  told();
  EXPECT_EQ(part_->audit(), kResync);
  shell("iptables -t nat -F FLANNEL-POSTRTG");
  EXPECT_EQ(told(), "") << "nobody is told";
  EXPECT_NE(dump(), planned(FirewallTool::iptables));
  EXPECT_EQ(apply(planned(FirewallTool::iptables)), "");
  EXPECT_EQ(dump(), planned(FirewallTool::iptables));
}

// As where a save of before is restored beside rules of nftables, or where none are wanted.
TEST_F(FirewallPartTest, WhereTheOlderKindHasTablesItIsLookedAtWithoutRulesOfOurs) {
  EXPECT_EQ(part_->audit(), std::nullopt);
  shell("iptables-legacy -t nat -N OTHERS");
  EXPECT_EQ(part_->audit(), kResync);
  shell("ip6tables-legacy -t nat -N FLANNEL-POSTRTG");
  EXPECT_EQ(listed().of<Ruleset>().size(), 1U);
  EXPECT_EQ(apply(NetState{}), "");
  EXPECT_EQ(dump(), NetState{});
}

Changes next_changes(Part& part) {
  pollfd ready{part.notify_fd(), POLLIN, 0};
  Changes changes;
  if (::poll(&ready, 1, 10'000) == 1) {
    part.changes({}, changes);
  }
  return changes;
}

bool tells(Part& part, bool removed) {
  for (int i = 0; i < 20; ++i) {
    const Changes changes = next_changes(part);
    if (std::ranges::any_of(changes.ours,
                            [&](const Change& change) { return change.removed == removed; })) {
      return true;
    }
  }
  return false;
}

// A look that finds nothing gives the claim back; whoever asks for a plan has one made.
TEST_F(FirewallPartTest, WhatComesOrGoesAroundALookThatFindsNothingIsTold) {
  const std::unique_ptr<Part> part = make_firewall_part(kResync);
  Snapshot snapshot;
  part->dump({}, part->kinds(), snapshot);
  shell("nft add table ip flannel-ipv4");
  EXPECT_TRUE(tells(*part, false));
  shell("nft delete table ip flannel-ipv4");
  part->dump({}, part->kinds(), snapshot);
  EXPECT_TRUE(tells(*part, true));
}

// As where a device changes in that moment: what was asked for is heard of also afterwards.
TEST_F(FirewallPartTest, ADumpWhileRulesAreBeingMadeDoesNotGiveThemUp) {
  const std::unique_ptr<Part> part = make_firewall_part(kResync);
  Snapshot snapshot;
  part->dump({}, part->kinds(), snapshot);
  std::vector<Op> ops;
  for (const Ruleset& row : planned(FirewallTool::iptables).of<Ruleset>()) {
    ops.push_back({Op::Verb::add, row});
  }
  part->apply(ops);
  part->dump({}, part->kinds(), snapshot);
  ASSERT_TRUE(snapshot.ours.of<Ruleset>().empty()) << "no program has begun";
  for (std::size_t answered = 0; answered < ops.size();) {
    const std::size_t more = next_changes(*part).answers.size();
    answered += more;
  }
  shell("nft flush ruleset");
  EXPECT_TRUE(tells(*part, true));
}

TEST_F(FirewallPartTest, WhatOthersMakeWhileOursAreRemovedGoesToo) {
  ASSERT_EQ(apply(planned(FirewallTool::iptables)), "");
  const std::string script = directory_.file("restore-and-more");
  ASSERT_TRUE(replace_file(script,
                           "#!/bin/sh\n"
                           "iptables-nft-restore \"$@\" || exit\n"
                           "iptables-nft -t nat -N FLANNEL-POSTRTG\n",
                           0755));
  replace("iptables-restore", script);
  EXPECT_EQ(apply(NetState()), "");
  EXPECT_EQ(listed(), NetState());
  EXPECT_FALSE(shell("iptables-nft-save -t nat").contains("FLANNEL"));
}

// As after an upgrade of the distribution, or `update-alternatives`.
TEST_F(FirewallPartTest, RulesOfTheKindThatTheHostNoLongerUsesGo) {
  const auto saved = [](const std::string& kind) {
    return shell(fmt::format("iptables-{0}-save; ip6tables-{0}-save", kind));
  };
  const std::array<std::string, 2> kinds = {"nft", "legacy"};
  for (const NetState& after : {planned(FirewallTool::iptables), planned(FirewallTool::nftables)}) {
    for (std::size_t i = 0; i < kinds.size(); ++i) {
      use(kinds[i]);
      ASSERT_EQ(apply(planned(FirewallTool::iptables)), "");
      ASSERT_TRUE(saved(kinds[i]).contains("FLANNEL-POSTRTG"));
      use(kinds[1 - i]);
      start_again();
      EXPECT_EQ(apply(after), "");
      EXPECT_FALSE(saved(kinds[i]).contains("FLANNEL")) << kinds[i] << saved(kinds[i]);
      EXPECT_EQ(listed(), after);
      EXPECT_EQ(apply(after), "");
      EXPECT_EQ(written_, 0U) << "and that was all";
      ASSERT_EQ(apply(NetState()), "");
    }
  }
}

// No program can be had that would remove them: they are left, and nothing goes on for ever.
TEST_F(FirewallPartTest, WithoutTheProgramsOfTheOtherKindItsRulesStay) {
  use("legacy");
  ASSERT_EQ(apply(planned(FirewallTool::iptables)), "");
  use("nft");
  start_again();
  const std::string program = shell("readlink -fn /usr/sbin/iptables-legacy-restore");
  ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
  ASSERT_EQ(::mount("none", "/", nullptr, MS_PRIVATE | MS_REC, nullptr), 0);
  ASSERT_EQ(::mount("/dev/null", program.c_str(), nullptr, MS_BIND, nullptr), 0);
  EXPECT_EQ(apply(NetState()), "");
  EXPECT_EQ(dump(), NetState());
  EXPECT_EQ(::umount(program.c_str()), 0);
  EXPECT_TRUE(shell("iptables-legacy-save").contains("FLANNEL-POSTRTG"));
}

// As often as what the kernel refuses is tried again, no program is to be started.
TEST_F(FirewallPartTest, WhatAProgramRefusedItIsNotAskedForAtOnce) {
  const std::string script = directory_.file("refuse"), count = directory_.file("count");
  ASSERT_TRUE(replace_file(script, "#!/bin/sh\necho x >>" + count + "\nexit 1\n", 0755));
  replace("iptables-restore", script);
  const NetState want = planned(FirewallTool::iptables);
  const std::string failures = apply(want);
  EXPECT_FALSE(failures.empty());
  const std::string runs = *read_file(count);
  EXPECT_EQ(apply(want), failures);
  EXPECT_EQ(*read_file(count), runs);
  use("nft");
  ::usleep(1'100'000);
  EXPECT_EQ(apply(want), "");
}

TEST_F(FirewallPartTest, AProgramThatDoesNothingAndSaysSoWithoutAnErrorIsNamed) {
  for (const std::string kind : {"nft", "legacy"}) {
    use(kind);
    const std::string script = directory_.file("garbage");
    ASSERT_TRUE(replace_file(script, "#!/bin/sh\nhead -c 1000 /dev/urandom\n", 0755));
    for (const char* program : {"iptables", "iptables-restore", "ip6tables", "ip6tables-restore"}) {
      replace(program, script);
    }
    EXPECT_TRUE(apply(planned(FirewallTool::iptables))
                    .starts_with("the programs of iptables end without an error, and the kernel"));
    EXPECT_EQ(dump(), NetState());
  }
}

// As where /proc cannot be used.
TEST_F(FirewallPartTest, WhatCannotBeReadIsNamedAndTheRestIsThere) {
  ASSERT_EQ(apply(planned(FirewallTool::nftables)), "");
  ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
  ASSERT_EQ(::mount("none", "/", nullptr, MS_PRIVATE | MS_REC, nullptr), 0);
  ASSERT_EQ(::mount("none", "/proc", "tmpfs", 0, nullptr), 0);
  ASSERT_EQ(::symlink("net", "/proc/net"), 0);  // without an end
  const NetState now = dump();
  ASSERT_EQ(::umount("/proc"), 0);
  NetState tables;
  for (const Ruleset& row : now.of<Ruleset>()) {
    if (row.key.tool == FirewallTool::nftables) {
      tables.of<Ruleset>().put(row);
    } else {
      EXPECT_EQ(row.lines.front(), fmt::format("# cannot be read: /proc/net/{}_tables_names: {}",
                                               row.key.family == Family::v4 ? "ip" : "ip6",
                                               "Too many levels of symbolic links"));
    }
  }
  EXPECT_EQ(tables, planned(FirewallTool::nftables));
  EXPECT_GT(now.of<Ruleset>().size(), tables.of<Ruleset>().size());
  EXPECT_EQ(dump(), tables);
}

TEST_F(FirewallPartTest, NoRulesGoBeforeOthersAreInTheirPlace) {
  const NetState nft = planned(FirewallTool::nftables), iptables = planned(FirewallTool::iptables);
  ASSERT_EQ(apply(nft), "");
  replace("iptables-restore", "/bin/false");
  EXPECT_EQ(apply(iptables),
            "iptables-restore: ended with status 1\niptables-restore: ended with status 1\n"
            "stays until the rules that take its place are there\n");
  const Ruleset::Key table = nft_key(Family::v4);
  EXPECT_NE(dump().of<Ruleset>().find(table), nullptr);
  EXPECT_EQ(apply({{Op::Verb::remove, *nft.of<Ruleset>().find(table)}}),
            "stays until the rules that take its place are there\n")
      << "alone, as what failed is tried again";
  use("nft");
  ::usleep(1'100'000);  // until the program is asked again
  EXPECT_EQ(apply(iptables), "");
  EXPECT_EQ(dump(), iptables);
  Ruleset bad = *nft.of<Ruleset>().find(table);
  bad.lines.insert(bad.lines.end() - 2, "\t\tdrop");
  EXPECT_EQ(apply({{Op::Verb::add, bad}, {Op::Verb::remove, *iptables.of<Ruleset>().begin()}}),
            "no rule of ours: drop\nstays until the rules that take its place are there\n");
}

TEST_F(FirewallPartTest, ATableThatCannotBeKeepsNoOtherFromItsRules) {
  const std::string script = directory_.file("no-nat");
  ASSERT_TRUE(replace_file(script,
                           "#!/bin/sh\n"
                           "input=$(cat)\n"
                           "case \"$* $input\" in *nat*) echo no such table >&2; exit 3;; esac\n"
                           "echo \"$input\" | exec iptables-nft${0##*/iptables} \"$@\"\n",
                           0755));
  replace("iptables", script);
  replace("iptables-restore", script);
  NetState want = planned(FirewallTool::iptables);
  EXPECT_EQ(apply(want), "iptables: no such table\n");
  want.of<Ruleset>().remove(iptables_key(Family::v4, iptables_places()[0]));
  EXPECT_EQ(dump(), want);
}

}  // namespace
}  // namespace flannel

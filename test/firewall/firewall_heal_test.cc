// The reconciler on our rule sets: whatever is done to them is undone, and what nothing is done to
// is left alone.
#include <linux/netfilter/nfnetlink.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "base/loop_fixture.h"
#include "kernel/host_kernel.h"
#include "reconcile/reconciler.h"
#include "test/firewall/firewall_part_fixture.h"

namespace flannel {
namespace {

class FirewallHealTest : public FirewallPartTest {
 protected:
  void start(FirewallTool tool) {
    want_ = planned(tool);
    std::vector<std::unique_ptr<Part>> parts;
    parts.push_back(std::make_unique<FirewallPart>(kResync));
    kernel_.emplace(std::move(parts));
    reconciler_.emplace(io_.get_executor(), *kernel_, Scope{},
                        Reconciler::Planner{.plan = [this](const Snapshot&) { return want_; }},
                        Reconciler::Timing{});
    asio::co_spawn(io_, reconciler_->run(), asio::detached);
    asio::co_spawn(io_, reconciler_->follow_kernel(), asio::detached);
    reconciler_->wake();
  }
  // As wanted, and nothing under way.
  bool is_as_wanted() {
    const Report& report = reconciler_->report();
    return report.passes > 0 && total(report.pending) == 0 && report.problems.empty() &&
           listed() == want_;
  }
  bool becomes_as_wanted() {
    return run_until(io_, [this] { return is_as_wanted(); });
  }

  asio::io_context io_;
  NetState want_;
  std::optional<HostKernel> kernel_;
  std::optional<Reconciler> reconciler_;
};

TEST_F(FirewallHealTest, WhateverIsDoneToTablesOfNftablesIsUndone) {
  start(FirewallTool::nftables);
  ASSERT_TRUE(becomes_as_wanted());
  for (const char* sabotage :
       {"flush ruleset", "delete table ip6 flannel-ipv6", "flush chain ip flannel-ipv4 postrtg",
        "insert rule ip flannel-ipv4 forward drop", "add chain ip flannel-ipv4 other"}) {
    shell(fmt::format("nft {}", sabotage));
    EXPECT_TRUE(becomes_as_wanted()) << sabotage;
  }
}

TEST_F(FirewallHealTest, WhateverIsDoneToRulesOfIptablesIsUndone) {
  start(FirewallTool::iptables);
  ASSERT_TRUE(becomes_as_wanted());
  for (const char* sabotage :
       {"iptables -t nat -F", "iptables -F FORWARD", "ip6tables -t nat -D FLANNEL-POSTRTG 3",
        "iptables -t nat -A FLANNEL-POSTRTG -j ACCEPT", "nft flush ruleset",
        "echo '*nat\nCOMMIT' | iptables-restore"}) {
    shell(sabotage);
    EXPECT_TRUE(becomes_as_wanted()) << sabotage;
  }
}

// As many rules as ours are there, and they are others.
TEST_F(FirewallHealTest, ARuleThatIsExchangedBeforeWhatWasMadeIsLookedAtIsPutBack) {
  const std::string script = directory_.file("restore-and-exchange");
  ASSERT_TRUE(replace_file(script,
                           "#!/bin/sh\n"
                           "iptables-nft-restore \"$@\" || exit\n"
                           "mkdir " +
                               directory_.file("once") +
                               " 2>/dev/null || exit 0\n"
                               "iptables-nft -t nat -R FLANNEL-POSTRTG 3 -s 192.0.2.1 -j ACCEPT\n",
                           0755));
  replace("iptables-restore", script);
  start(FirewallTool::iptables);
  EXPECT_TRUE(becomes_as_wanted());
  EXPECT_TRUE(std::filesystem::exists(directory_.file("once")));
}

TEST_F(FirewallHealTest, ADaemonThatFindsAllAsWantedWritesNothing) {
  for (const FirewallTool tool : {FirewallTool::nftables, FirewallTool::iptables}) {
    ASSERT_EQ(apply(planned(tool)), "");
    netlink::NotificationSocket socket(NETLINK_NETFILTER, std::array{int{NFNLGRP_NFTABLES}});
    start(tool);
    ASSERT_TRUE(becomes_as_wanted());
    std::size_t told = 0;
    socket.drain([&](const netlink::MessageView&) { ++told; });
    EXPECT_EQ(told, 0U);
    EXPECT_EQ(reconciler_->report().ops, 0U);
    reconciler_.reset();
    io_.restart();
  }
}

}  // namespace
}  // namespace flannel

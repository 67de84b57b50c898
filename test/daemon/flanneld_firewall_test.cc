// What flanneld does with pods' packets beside routing them to peers: masquerading and forwarding
// rules, and the route for what no pod has.

#include <chrono>

#include "test/daemon/flanneld_fixture.h"

namespace flannel {
namespace {

class FlanneldFirewallTest : public FlanneldTest {
 protected:
  void SetUp() override {
    FlanneldTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) {
      return;
    }
    ::setenv("XTABLES_LOCKFILE", (folder + "/xtables.lock").c_str(), 1);
  }
  void TearDown() override {
    FlanneldTest::TearDown();
    ::unsetenv("XTABLES_LOCKFILE");
  }

  void configure(bool nftables, const std::string& network = "10.5.0.0/16") {
    ASSERT_TRUE(write_local_config(
        store(),
        fmt::format(R"({{"Network":"{}","EnableNFTables":{},"Backend":{{"Type":"vxlan"}}}})",
                    network, nftables)));
  }
  void run_daemon(const Arguments& options) {
    if (daemon.pid != 0) {
      ::kill(daemon.pid, SIGTERM);
      ASSERT_EQ(exit_code(), 0) << log();
    }
    start(options);
    ASSERT_TRUE(eventually([&] { return is_well(); })) << page("/status") << page("/plan") << log();
  }
  bool is_well() const {
    return is_ready() && waits_for(R"("state":"ready")") && page("/plan") == "200 ";
  }
  static std::string tables() { return run_program({"nft", "-s", "list", "ruleset"}); }
  static bool has(const std::string& text) { return tables().contains(text); }
  // Ops that were applied since the start.
  std::string changes() const {
    const std::string status = page("/status");
    const std::size_t at = status.find(R"("changes":)");
    return status.substr(at, status.find(',', at) - at);
  }
};

TEST_F(FlanneldFirewallTest, RulesAreMadeAndExchangedAndRemoved) {
  configure(false);
  run_daemon({"--ip-masq"});
  EXPECT_TRUE(has("FLANNEL-POSTRTG")) << tables();
  EXPECT_TRUE(has("FLANNEL-FWD")) << tables();
  EXPECT_NE(log().find("bootstrap done"), std::string::npos) << log();
  EXPECT_NE(read_file(folder + "/subnet.env").value_or("").find("FLANNEL_IPMASQ=true"),
            std::string::npos);

  configure(true);
  run_daemon({"--ip-masq"});
  EXPECT_TRUE(has("table ip flannel-ipv4")) << tables();
  EXPECT_FALSE(has("FLANNEL-")) << tables();

  configure(false);
  run_daemon({"--ip-masq"});
  EXPECT_FALSE(has("flannel-ipv4")) << tables();
  EXPECT_TRUE(has("FLANNEL-POSTRTG")) << tables();

  run_daemon({});
  EXPECT_FALSE(has("FLANNEL-POSTRTG")) << tables();
  EXPECT_TRUE(has("FLANNEL-FWD")) << tables();
  run_daemon({"--iptables-forward-rules=false"});
  EXPECT_FALSE(has("FLANNEL-")) << tables();
}

// The node's lease is of the old one, and its pods have addresses of it.
TEST_F(FlanneldFirewallTest, AnotherNetworkTakesARestartInWhichTheOldRulesGo) {
  for (const bool nftables : {true, false}) {
    configure(nftables);
    run_daemon({"--ip-masq"});
    const std::string before = tables();
    configure(nftables, "10.6.0.0/16");
    EXPECT_TRUE(eventually([&] {
      return waits_for("it takes a restart of flanneld, for Network: ");
    })) << page("/status");
    EXPECT_EQ(tables(), before);
    run_daemon({"--ip-masq"});
    EXPECT_TRUE(has("10.6.0.0/16")) << tables();
    EXPECT_FALSE(has("10.5.0.0/16")) << tables();
  }
}

// A pod that starts before its packets are masqueraded reaches nobody outside.
TEST_F(FlanneldFirewallTest, NobodyIsToldThatItIsReadyBeforeTheRulesAreThere) {
  configure(false);
  const std::string path = std::getenv("PATH");
  shell(
      fmt::format("cd {0} && printf '#!/bin/sh\\nwhile [ ! -e {0}/go ]; do sleep 0.02; done\\n"
                  "exec /usr/sbin/iptables-restore \"$@\"\\n' >iptables-restore && "
                  "chmod +x iptables-restore",
                  folder));
  ::setenv("PATH", (folder + ":" + path).c_str(), 1);
  const NotifySocket manager(folder + "/notify");
  start({"--ip-masq"});
  ::setenv("PATH", path.c_str(), 1);
  ASSERT_TRUE(eventually([&] {
    return page("/readyz").contains("under way: + rules iptables IPv4 ");
  })) << page("/readyz")
      << log();
  EXPECT_FALSE(has("MASQUERADE") || has("masquerade")) << tables();
  EXPECT_FALSE(std::filesystem::exists(folder + "/subnet.env"));
  EXPECT_TRUE(eventually([&] {
    return read_file(folder + "/subnet.env.reason").value_or("").contains("rules iptables");
  })) << read_file(folder + "/subnet.env.reason").value_or("none");
  EXPECT_FALSE(log().contains("bootstrap done"));
  EXPECT_EQ(manager.message(MSG_DONTWAIT), "");

  shell("touch " + folder + "/go");
  EXPECT_EQ(manager.message(), "READY=1");
  EXPECT_TRUE(has("FLANNEL-POSTRTG") && has("FLANNEL-FWD")) << tables();
  EXPECT_TRUE(std::filesystem::exists(folder + "/subnet.env"));
  EXPECT_EQ(page("/plan"), "200 ") << "at once";
}

TEST_F(FlanneldFirewallTest, AProgramThatTakesItsTimeKeepsNoPageWaiting) {
  configure(false);
  const std::string path = std::getenv("PATH");
  constexpr auto kProgram = R"(#!/bin/sh
touch {0}/asked
while [ ! -e {0}/go ]; do sleep 0.02; done
exec /usr/sbin/iptables "$@"
)";
  ASSERT_TRUE(replace_file(folder + "/iptables", fmt::format(kProgram, folder), 0755));
  ::setenv("PATH", (folder + ":" + path).c_str(), 1);
  start({"--ip-masq"});
  ::setenv("PATH", path.c_str(), 1);
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(folder + "/asked"); })) << log();
  EXPECT_TRUE(page("/status").starts_with("200 "));
  EXPECT_FALSE(is_ready());
  shell("touch " + folder + "/go");
  EXPECT_TRUE(eventually([&] { return is_well(); })) << page("/status");
}

TEST_F(FlanneldFirewallTest, AStartThatFindsAllAsItShouldBeWritesNothing) {
  for (const bool nftables : {false, true}) {
    configure(nftables);
    run_daemon({"--ip-masq", "--ip-blackhole-route"});
    const std::string before = tables();
    run_daemon({"--ip-masq", "--ip-blackhole-route"});
    EXPECT_EQ(changes(), R"("changes":0)");
    EXPECT_EQ(tables(), before);
  }
}

TEST_F(FlanneldFirewallTest, WhatOthersTakeAwayIsPutBackAtOnce) {
  for (const bool nftables : {true, false}) {
    configure(nftables);
    run_daemon({"--ip-masq"});
    const std::string whole = tables();
    EXPECT_TRUE(is_at_once([] { ::usleep(300'000); },
                           [] { run_program({"nft", "flush", "ruleset"}); },
                           [&] { return tables() == whole; }))
        << tables() << page("/status");
    EXPECT_TRUE(eventually([&] { return is_well(); })) << page("/status");
  }
}

TEST_F(FlanneldFirewallTest, WithoutIptablesTheOverlayWorksAndTheStatusSaysWhatDoesNot) {
  configure(false);
  Arguments words{"unshare",
                  "-m",
                  "sh",
                  "-c",
                  "mount --bind /dev/null $(readlink -f $(command -v iptables-restore)) && "
                  "exec \"$@\"",
                  "sh"};
  const Arguments flanneld = command({"--ip-masq"});
  words.insert(words.end(), flanneld.begin(), flanneld.end());
  daemon = start_detached(words, "", folder + "/log", [](const ProcessId&) {});
  ASSERT_TRUE(eventually([&] { return is_ready(); })) << log();
  EXPECT_TRUE(eventually([&] {
    return waits_for(
        "IPv4: what pods send out of the overlay is not masqueraded: failed to locate "
        "iptables-restore: install iptables");
  })) << page("/status");
  EXPECT_TRUE(waits_for(R"("state":"degraded")"));
  EXPECT_NE(page("/plan").find("+ rules iptables IPv4 nat\n  :FLANNEL-POSTRTG - [0:0]\n  -A "),
            std::string::npos)
      << page("/plan");
}

TEST_F(FlanneldFirewallTest, ABridgeThatPassesIptablesByIsNamedWhileItDoes) {
  configure(false);
  run_daemon({});
  const std::string warning = "net.bridge.bridge-nf-call-iptables is 0";
  EXPECT_FALSE(waits_for(warning)) << page("/status");
  shell("sysctl -qw net.bridge.bridge-nf-call-iptables=0");
  EXPECT_TRUE(waits_for(warning)) << page("/status");
  EXPECT_TRUE(waits_for(R"("state":"ready")")) << "the overlay works";
  shell("sysctl -qw net.bridge.bridge-nf-call-iptables=1");
  EXPECT_FALSE(waits_for(warning));
}

// As docker's, which iptables made, beside a table of nftables that is ours.
TEST_F(FlanneldFirewallTest, AChainOfOthersThatMayDropPodsPacketsIsNamed) {
  const std::string warning = "IPv4: chain FORWARD of table ip filter may drop forwarded packets";
  shell("iptables -P FORWARD DROP");
  configure(true);
  run_daemon({});
  EXPECT_TRUE(waits_for(warning)) << page("/status");
  EXPECT_TRUE(log().contains(warning)) << log();
  shell("iptables -A FORWARD -s 10.5.0.0/16 -j ACCEPT");
  EXPECT_FALSE(waits_for(warning));
  shell("iptables -D FORWARD 1");
  EXPECT_TRUE(waits_for(warning));
  configure(false);
  run_daemon({});
  EXPECT_FALSE(waits_for(warning)) << "ours accept before the policy";
}

TEST_F(FlanneldFirewallTest, WhatNoPodHasIsDropped) {
  configure(false);
  const auto blackholes = [] { return run_program({"ip", "route", "show", "type", "blackhole"}); };
  run_daemon({"--ip-blackhole-route"});
  const std::string routes = blackholes();
  EXPECT_TRUE(routes.contains(".0/24 proto 70 metric 4294967295")) << routes;
  run_daemon({});
  EXPECT_EQ(blackholes(), "");
  const std::string subnet = routes.substr(10, routes.find(" proto") - 10);
  run_program({"ip", "route", "add", "blackhole", subnet});
  run_daemon({"--ip-blackhole-route"});
  EXPECT_EQ(blackholes(), routes) << "the Go flannel's gives way";
}

TEST_F(FlanneldFirewallTest, TwoNetworksOfANodeHaveRulesEach) {
  configure(false);
  run_daemon({"--ip-masq"});
  const std::string other = folder + "/other";
  std::filesystem::create_directories(other);
  ASSERT_TRUE(write_local_config(
      other + "/leases.db", R"({"Network":"10.6.0.0/16","Backend":{"Type":"vxlan","VNI":2}})"));
  const ProcessId second =
      start_detached({TestLab::binary("flanneld"), "--local-store=" + other + "/leases.db",
                      "--subnet-file=" + other + "/subnet.env", "--ip-masq"},
                     "", other + "/log", [](const ProcessId&) {});
  const auto says = [&](const std::string& path, const std::string& text) {
    const Result<Page> page = get_page(other + "/flanneld.sock", path);
    return page && page->body.contains(text);
  };
  EXPECT_TRUE(eventually([&] { return says("/status", R"("state":"ready")"); }));
  EXPECT_TRUE(says("/status", R"("masquerade":true,"forward":true,"suffix":"-)"));
  EXPECT_TRUE(waits_for(R"("masquerade":true,"forward":true,"suffix":"")")) << page("/status");
  for (const std::string name : {"FLANNEL-POSTRTG {", "FLANNEL-POSTRTG-", "FLANNEL-FWD-",
                                 "ip saddr 10.5.0.0/16 ", "ip saddr 10.6.0.0/16 "}) {
    EXPECT_TRUE(has(name)) << name << "\n" << tables();
  }
  EXPECT_TRUE(is_well());
  EXPECT_TRUE(end_process(second));
  EXPECT_TRUE(has("ip saddr 10.6.0.0/16 ")) << "they stay, as a single daemon's";
}

}  // namespace
}  // namespace flannel

#include "ctl/status_page.h"

#include <gtest/gtest.h>

#include "ctl/command_line.h"
#include "ctl/lab.h"

namespace flannel {
namespace {

constexpr const char* kGood = R"({
  "version":"0.1.0","pid":123,"state":"ready","reason":"","ready":true,"started":"2026-11-24T11:00:00Z",
  "store":{"name":"local /x","connected":true,"trouble":""},
  "network":{"networks":["10.5.0.0/16"],"backend":"vxlan"},
  "interface":{"name":"eth0","mtu":1500,"addresses":["198.18.0.2"],"devices":["flannel.1"],"pod_mtu":1450},
  "lease":{"subnets":["10.5.60.0/24"],"public_ips":["198.18.0.2"],"expiry":"2026-11-25T11:00:00Z"},
  "peers":{"count":2,"list":[
    {"subnets":["10.5.61.0/24"],"public_ips":["198.18.0.3"],"state":"ok"},
    {"subnets":["10.5.62.0/24"],"public_ips":["198.18.0.4"],"state":"pending"}],
    "refused":[],"skipped":[]},
  "kernel":{"objects":11,"problems":[]},"warnings":[]})";

TEST(StatusPage, ShowsTheNode) {
  EXPECT_EQ(*status_page(kGood, 50),
            "state       ready\n"
            "interface   eth0 198.18.0.2 MTU 1500\n"
            "network     10.5.0.0/16\n"
            "backend     vxlan flannel.1\n"
            "lease       10.5.60.0/24 as 198.18.0.2, until 2026-11-25T11:00:00Z\n"
            "pod MTU     1450\n"
            "store       local /x\n"
            "daemon      flanneld 0.1.0, pid 123, since 2026-11-24T11:00:00Z\n"
            "\n"
            "2 peers\n"
            "  10.5.61.0/24         198.18.0.3       ok\n"
            "  10.5.62.0/24         198.18.0.4       pending\n"
            "\n"
            "All is well: the kernel has the 11 objects it should.\n");
}

TEST(StatusPage, CutsLongLists) {
  EXPECT_NE(status_page(kGood, 1)->find("  and 1 more (--all)\n"), std::string::npos);
}

TEST(StatusPage, SaysWhatIsNotAsWantedAndWhy) {
  const std::string page = *status_page(
      R"({"state":"degraded","ready":true,"store":{"name":"etcd x","trouble":"connection refused"},
          "peers":{"list":[],"refused":[{"name":"10.9.0.0-24","reason":"outside Network"}],
                   "skipped":[{"name":"10.5.63.0-24","reason":"no VtepMAC"}]},
          "kernel":{"problems":[{"object":"route 10.5.61.0/24","verb":"add","error":"EPERM",
                                 "text":"Operation not permitted","attempts":3,"since":"T"}]},
          "warnings":["no status socket"]})",
      50);
  const std::size_t at = page.find("\nNot as wanted, and why\n");
  ASSERT_NE(at, std::string::npos) << page;
  EXPECT_EQ(page.substr(at),
            "\nNot as wanted, and why\n"
            "  store: connection refused\n"
            "  add route 10.5.61.0/24: Operation not permitted (EPERM), 3 tries since T\n"
            "  peer 10.9.0.0-24 refused: outside Network\n"
            "  peer 10.5.63.0-24 skipped: no VtepMAC\n"
            "  no status socket\n");
}

TEST(StatusPage, SaysWhatIsWaitedFor) {
  EXPECT_EQ(*status_page(R"({"state":"waiting","reason":"no network configuration yet"})", 50),
            "state       waiting: no network configuration yet\n"
            "daemon      flanneld , pid , since \n");
}

TEST(StatusPage, RefusesWhatIsNoStatus) {
  for (const char* text : {"", "[]", "hello", "{\"state\":"}) {
    EXPECT_FALSE(status_page(text, 50)) << text;
  }
}

TEST(StatusSummary, CountsGoodPeers) {
  const StatusSummary summary = *summarize_status(kGood);
  EXPECT_TRUE(summary.ready);
  EXPECT_EQ(summary.good_peers, 1U);
}

TEST(CommandLine, ReadsWordsAndOptions) {
  const std::vector<std::string> arguments = {"lab", "up", "--nodes", "4", "--name=x", "--kill"};
  const CommandLine line =
      *parse_command_line(arguments, {.with_value = {"nodes", "name"}, .without_value = {"kill"}});
  EXPECT_EQ(line.words, (std::vector<std::string>{"lab", "up"}));
  EXPECT_EQ(line.get("nodes", ""), "4");
  EXPECT_EQ(line.get("name", ""), "x");
  EXPECT_TRUE(line.has("kill"));
  EXPECT_EQ(line.get("other", "else"), "else");
}

TEST(CommandLine, TakesTheRestAsItIs) {
  const std::vector<std::string> arguments = {"--name=x", "exec", "p1", "ping", "--name", "-c"};
  const CommandLine line = *parse_command_line(
      arguments, {.with_value = {"name"}, .without_value = {}, .words_before_rest = 2});
  EXPECT_EQ(line.words, (std::vector<std::string>{"exec", "p1", "ping", "--name", "-c"}));
}

TEST(CommandLine, RefusesByName) {
  const CommandSyntax syntax{.with_value = {"nodes"}, .without_value = {"kill"}};
  const std::pair<std::vector<std::string>, std::string> cases[] = {
      {{"--nope"}, "unknown option --nope"},
      {{"--nodes"}, "option --nodes needs a value"},
      {{"--kill=now"}, "option --kill takes no value: --kill=now"},
  };
  for (const auto& [arguments, text] : cases) {
    EXPECT_EQ(parse_command_line(arguments, syntax).error().text, text);
  }
}

TEST(Ping, ReadsTheAverage) {
  EXPECT_DOUBLE_EQ(*parse_ping_average("5 packets transmitted, 5 received\n"
                                       "rtt min/avg/max/mdev = 0.045/0.050/0.060/0.005 ms\n"),
                   0.05);
  EXPECT_FALSE(parse_ping_average("5 packets transmitted, 0 received, 100% packet loss\n"));
  EXPECT_FALSE(parse_ping_average(""));
}

TEST(Ping, ShowsAMatrix) {
  EXPECT_EQ(to_text(PingMatrix{{0.05, std::nullopt}, {1.5, 0.04}}),
            "ms          p1      p2\n"
            "p1       0.050    FAIL\n"
            "p2       1.500   0.040\n");
}

TEST(LabWish, IsCheckedBeforeAnythingIsMade) {
  LabWish wish;
  wish.flanneld = "/bin/true";
  EXPECT_TRUE(check_wish(wish));
  const auto refusal = [](LabWish changed) {
    const Result<void> result = check_wish(changed);
    return result ? "accepted" : result.error().text;
  };
  LabWish other = wish;
  other.nodes = 21;
  EXPECT_EQ(refusal(other), "--nodes 21: 1 to 20");
  other = wish;
  other.name = "a/b";
  EXPECT_EQ(refusal(other), "--name a/b: one to eight small letters and digits");
  other = wish;
  other.store = "etcd=https://127.0.0.1:2379";
  EXPECT_EQ(refusal(other),
            "--store etcd=https://127.0.0.1:2379: local, etcd, or etcd=http://HOST:PORT");
  other = wish;
  other.network = "10.5.0.0/40";
  EXPECT_EQ(refusal(other),
            R"(the network configuration {"Network":"10.5.0.0/40","Backend":{"Type":"vxlan"}}: )"
            "invalid CIDR address: 10.5.0.0/40");
  other = wish;
  other.flanneld = "/nowhere";
  EXPECT_EQ(refusal(other), "--flanneld /nowhere: no program");
}

}  // namespace
}  // namespace flannel

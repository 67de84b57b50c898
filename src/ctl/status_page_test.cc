#include "ctl/status_page.h"

#include <gtest/gtest.h>

#include "ctl/lab.h"

namespace flannel {
namespace {

constexpr const char* kGood = R"({
  "version":"0.1.0","pid":123,"state":"ready","reason":"","ready":true,"started":"2026-11-24T11:00:00Z",
  "store":{"name":"local /x","connected":true,"trouble":""},
  "network":{"networks":["10.5.0.0/16"],"backend":"vxlan"},
  "interface":{"name":"eth0","mtu":1500,"addresses":["198.18.0.2"],"devices":["flannel.1"],"pod_mtu":1450},
  "firewall":{"tool":"iptables","masquerade":true,"forward":true,"suffix":""},
  "lease":{"subnets":["10.5.60.0/24"],"public_ips":["198.18.0.2"],"expiry":"2026-11-25T11:00:00Z"},
  "peers":{"count":2,"list":[
    {"subnets":["10.5.61.0/24"],"public_ips":["198.18.0.3"],"state":"ok"},
    {"subnets":["10.5.62.0/24"],"public_ips":["198.18.0.4"],"state":"pending"}],
    "refused":[],"skipped":[]},
  "kernel":{"objects":11,"problems":[]},"troubles":[],"warnings":[]})";

TEST(StatusPage, ShowsTheNode) {
  EXPECT_EQ(*status_page(kGood, 50),
            "state       ready\n"
            "interface   eth0 198.18.0.2 MTU 1500\n"
            "network     10.5.0.0/16\n"
            "backend     vxlan flannel.1\n"
            "firewall    iptables: masquerades, accepts what is forwarded\n"
            "lease       10.5.60.0/24 as 198.18.0.2, until 2026-11-25T11:00:00Z\n"
            "pod MTU     1450\n"
            "store       local /x\n"
            "daemon      flanneld 0.1.0, pid 123, since 2026-11-24T11:00:00Z\n"
            "\n"
            "2 peers, 1 pending\n"
            "  subnet        public IP   state\n"
            "  10.5.61.0/24  198.18.0.3  ok\n"
            "  10.5.62.0/24  198.18.0.4  pending\n");
}

TEST(StatusPage, SaysWhatIsMasqueradedAndEndsNoLineInABlank) {
  const auto page = [](const std::string& rules) {
    return *status_page(R"({"network":{"networks":["10.5.0.0/16"],"backend":"host-gw"},
        "interface":{"name":"eth0","mtu":1500,"addresses":[],"devices":[]},"firewall":)" +
                            rules + "}",
                        50);
  };
  const std::string before =
      "interface   eth0 MTU 1500\nnetwork     10.5.0.0/16\n"
      "backend     host-gw\nfirewall    ";
  const auto starts = [&](const std::string& rules, const std::string& said) {
    EXPECT_TRUE(page(rules).starts_with(before + said + "\n")) << page(rules);
  };
  starts(R"({"tool":"nftables","masquerade":true,"forward":false,"suffix":"-0a1b2c"})",
         "nftables: masquerades; names end in -0a1b2c");
  starts(R"({"tool":"iptables","masquerade":false,"forward":true,"suffix":""})",
         "iptables: does not masquerade, accepts what is forwarded");
  starts(R"({"tool":"iptables","masquerade":false,"forward":false})",
         "no rules: nothing is masqueraded");
  starts(R"({"tool":"nftables","masquerade":true,"forward":false,"suffix":""},
            "kernel":{"problems":[{"object":"rules nftables IPv4 flannel-ipv4"}]})",
         "nftables: masquerades; not as wanted, see below");
  starts(R"({"tool":"nftables","masquerade":true,"forward":false,"suffix":""},
            "kernel":{"problems":[{"object":"route 10.5.61.0/24"}]})",
         "nftables: masquerades");
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

TEST(StatusPage, SaysThatAllIsWellOnlyWhereEverythingSaysSo) {
  const std::string well = replaced(kGood, "pending", "ok");
  const auto all_is_well = [](const std::string& text) {
    return status_page(text, 50)->find(
               "\nAll is well: the kernel has the 11 objects it should.\n") != std::string::npos;
  };
  EXPECT_TRUE(all_is_well(well));
  EXPECT_TRUE(summarize_status(well)->is_well);
  const std::pair<std::string, std::string> spoilt[] = {
      {"\"state\":\"ready\"", "\"state\":\"degraded\""},
      {"\"ready\":true", "\"ready\":false"},
      {"\"troubles\":[]", R"("troubles":["store: away"])"},
      {"\"state\":\"ok\"", "\"state\":\"failed\""},
      {"\"refused\":[]", R"("refused":[{"name":"x","reason":"y"}])"},
      {"\"skipped\":[]", R"("skipped":[{"name":"x","reason":"y"}])"},
      {"\"problems\":[]", R"("problems":[{"object":"route","attempts":1}])"},
      {"\"warnings\":[]", R"("warnings":["w"])"},
  };
  for (const auto& [from, to] : spoilt) {
    EXPECT_FALSE(all_is_well(replaced(well, from, to))) << to;
    EXPECT_FALSE(summarize_status(replaced(well, from, to))->is_well) << to;
  }
}

TEST(StatusPage, GivesEachFamilyOfAPeerALine) {
  const std::string page = *status_page(
      R"({"peers":{"list":[{"subnets":["10.8.19.0/24","fc00:5:0:f1de::/64"],
          "public_ips":["198.18.0.12","fd99:1111:2222:3333::12"],"state":"ok"}]}})",
      50);
  EXPECT_NE(page.find("1 peer\n"
                      "  subnet              public IP                state\n"
                      "  10.8.19.0/24        198.18.0.12              ok\n"
                      "  fc00:5:0:f1de::/64  fd99:1111:2222:3333::12  ok\n"),
            std::string::npos)
      << page;
}

TEST(StatusPage, TakesALeaseFromMemoryForNoneWithoutAnEnd) {
  const std::string lease =
      R"("lease":{"subnets":["10.5.60.0/24"],"public_ips":["198.18.0.2"],"expiry":null})";
  EXPECT_NE(status_page("{" + lease + "}", 50)->find("as 198.18.0.2, without an end\n"),
            std::string::npos);
  EXPECT_NE(
      status_page(R"({"store":{"last_known_state_of":"2026-11-24T11:00:00Z"},)" + lease + "}", 50)
          ->find("as 198.18.0.2, from last known state\n"),
      std::string::npos);
}

// Whatever a field holds that somebody else wrote, no control character reaches a terminal.
TEST(StatusPage, ShowsTextOfOthersWithoutControlCharacters) {
  const std::string evil = "\\u001b[2J\\u0007";
  std::string document = kGood;
  for (const char* text :
       {"ready", "local /x", "eth0", "vxlan", "10.5.61.0/24", "198.18.0.3", "ok"}) {
    document = replaced(document, fmt::format("\"{}\"", text), fmt::format("\"{}\"", evil));
  }
  document = replaced(document, "\"refused\":[]",
                      fmt::format(R"("refused":[{{"name":"{0}","reason":"{0}"}}])", evil));
  document = replaced(document, "\"warnings\":[]", fmt::format(R"("warnings":["{}"])", evil));
  const std::string page = *status_page(document, 50);
  EXPECT_EQ(page.find('\x1b'), std::string::npos) << page;
  EXPECT_EQ(page.find('\x07'), std::string::npos) << page;
  EXPECT_NE(page.find("\\x1b[2J\\x07"), std::string::npos) << page;
}

TEST(StatusPage, CutsLongLists) {
  EXPECT_NE(status_page(kGood, 1)->find("  and 1 more (--all)\n"), std::string::npos);
}

TEST(StatusPage, SaysWhatIsNotAsWantedAndWhy) {
  const std::string page = *status_page(
      R"({"state":"degraded","ready":true,"store":{"name":"etcd x"},"troubles":["store: connection refused","our lease is gone"],
          "peers":{"list":[],"refused":[{"name":"10.9.0.0-24","reason":"outside Network"}],
                   "skipped":[{"name":"10.5.63.0-24","reason":"no VtepMAC"}]},
          "kernel":{"problem_count":7,
                    "problems":[{"object":"route 10.5.61.0/24","verb":"add","error":"EPERM",
                                 "text":"Operation not permitted","attempts":3,"waiting":7,"since":"T"}]},
          "warnings":["no status socket"]})",
      50);
  const std::size_t at = page.find("\nNot as wanted, and why\n");
  ASSERT_NE(at, std::string::npos) << page;
  EXPECT_EQ(page.substr(at),
            "\nNot as wanted, and why\n"
            "  store: connection refused\n"
            "  our lease is gone\n"
            "  add route 10.5.61.0/24: Operation not permitted (EPERM), 3 tries since T; other "
            "objects that wait for it: 7\n"
            "  … of 7 that the kernel refuses\n"
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
  EXPECT_EQ(summary.state, "ready");
  EXPECT_TRUE(summary.has_converged);
  EXPECT_EQ(summary.good_peers, 1U);
  EXPECT_EQ(summary.peers, 2U);
}

TEST(Ping, ReadsTheAverage) {
  EXPECT_DOUBLE_EQ(*parse_ping_average("5 packets transmitted, 5 received\n"
                                       "rtt min/avg/max/mdev = 0.045/0.050/0.060/0.005 ms\n"),
                   0.05);
  EXPECT_FALSE(parse_ping_average("5 packets transmitted, 0 received, 100% packet loss\n"));
  EXPECT_FALSE(parse_ping_average(""));
}

TEST(Ping, ShowsAMatrix) {
  const IpAddr node1 = *IpAddr::parse("198.18.0.11"), node2 = *IpAddr::parse("198.18.0.12");
  const PingMatrix good = {{{0.05, 0.2}, 0.1, node1, node1}, {{1.5, 0.04}, 0.1, node2, node2}};
  EXPECT_TRUE(is_complete(good));
  EXPECT_EQ(to_text(good),
            "ms          p1      p2     out  seen there as\n"
            "p1       0.050   0.200   0.100  198.18.0.11\n"
            "p2       1.500   0.040   0.100  198.18.0.12\n");
  const PingMatrix none = {{{0.05, std::nullopt}, 0.1, node1, node1}, good[1]};
  EXPECT_FALSE(is_complete(none));
  const PingMatrix not_masqueraded = {good[0], {{1.5, 0.04}, std::nullopt, node1, node2}};
  EXPECT_FALSE(is_complete(not_masqueraded));
  EXPECT_EQ(to_text(PingMatrix{none[0], not_masqueraded[1]}),
            "ms          p1      p2     out  seen there as\n"
            "p1       0.050    FAIL   0.100  198.18.0.11\n"
            "p2       1.500   0.040    FAIL  198.18.0.11: FAIL, not as its node 198.18.0.12\n");
}

TEST(LabOptions, IsCheckedBeforeAnythingIsMade) {
  LabOptions options;
  options.flanneld = "/bin/true";
  EXPECT_TRUE(check_lab_options(options));
  const auto refusal = [](LabOptions changed) {
    const Result<void> result = check_lab_options(changed);
    return result ? "accepted" : result.error().text;
  };
  LabOptions other = options;
  other.nodes = 21;
  EXPECT_EQ(refusal(other), "--nodes 21: 1 to 20");
  other = options;
  other.name = "a/b";
  EXPECT_EQ(refusal(other), "--name a/b: one to eight small letters and digits");
  other = options;
  other.store = "etcd=https://127.0.0.1:2379";
  EXPECT_EQ(refusal(other),
            "--store etcd=https://127.0.0.1:2379: local, etcd, or etcd=http://HOST:PORT");
  other = options;
  other.network = "10.5.0.0/40";
  EXPECT_EQ(refusal(other),
            R"(the network configuration {"Network":"10.5.0.0/40","Backend":{"Type":"vxlan"}}: )"
            "Network: invalid CIDR address: 10.5.0.0/40 (such as 10.5.0.0/16)");
  other = options;
  other.backend = "hostgw";
  EXPECT_TRUE(refusal(other).starts_with("--backend hostgw: unknown backend type: hostgw"));
  other = options;
  other.backend = "host-gw";
  other.routed = true;
  EXPECT_EQ(refusal(other), "--backend host-gw --routed: host-gw needs all nodes on one link");
  other = options;
  other.flanneld = "/nowhere";
  EXPECT_EQ(refusal(other), "--flanneld /nowhere: no program");
}

}  // namespace
}  // namespace flannel

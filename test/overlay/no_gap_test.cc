// No new flow of a pod goes without the node's rules, whatever happens to the daemon: what leaves
// the overlay has the node's address, what stays in it the pod's.

#include "ctl/lab.h"
#include "test/overlay/flows.h"
#include "test/overlay/tools_fixture.h"

namespace flannel {
namespace {

class NoGapTest : public ToolsFixture {
 protected:
  std::vector<std::unique_ptr<Flows>> flows() const {
    std::vector<std::unique_ptr<Flows>> all;
    const auto add = [&](const std::string& from, const std::string& to, const IpAddr& target,
                         const IpAddr& source) {
      all.push_back(std::make_unique<Flows>(lab, from, to, target, source));
    };
    for (const Family family : kFamilies) {
      add("p1", "out", outside(family), node(1, family));
    }
    add("p1", "p2", pod(2), pod(1));
    add("p2", "p1", pod(1, Family::v6), pod(2, Family::v6));
    return all;
  }
  template <class Work>
  void expect_no_gap(const std::string& what, Work work) const {
    const auto all = flows();
    work();
    EXPECT_TRUE(eventually([&] { return is_settled(); })) << what << lab.page(1, "/status");
    for (const std::unique_ptr<Flows>& each : all) {
      each->expect_none_failed(what);
    }
  }
  void restart(const Arguments& how = {}) const {
    Arguments words{"stop", "n1"};
    words.insert(words.end(), how.begin(), how.end());
    ASSERT_EQ(lab.ctl(words).status, 0);
    ASSERT_EQ(lab.ctl({"start", "n1"}).status, 0);
  }
  // Restarts with an option that changes the rules, and without it.
  void restart_with(const char* variable, const char* value) const {
    expect_no_gap(variable, [&] {
      ::setenv(variable, value, 1);
      restart();
      ::unsetenv(variable);
    });
    expect_no_gap(fmt::format("without {}", variable), [&] { restart(); });
  }
  std::string rules() const {
    return lab.on("n1", {"sh", "-c", "nft list ruleset; iptables-save; ip6tables-save"}).output;
  }
};

// So that a gap would be seen.
TEST_P(NoGapTest, WithoutRulesFlowsKeepTheAddressesOfPods) {
  ASSERT_EQ(lab.ctl({"stop", "n1"}).status, 0);
  for (const char* flush : {"nft flush ruleset", "iptables -t nat -F", "ip6tables -t nat -F"}) {
    run_on("n1", flush);
  }
  const auto all = flows();
  EXPECT_TRUE(eventually([&] { return all[0]->count().with_another_source > 0; }));
  EXPECT_TRUE(eventually([&] { return all[1]->count().with_another_source > 0; }));
}

TEST_P(NoGapTest, WhileTheDaemonStartsAgain) {
  expect_no_gap("restart", [&] { restart(); });
  expect_no_gap("kill -9", [&] { restart({"--kill"}); });
}

TEST_P(NoGapTest, WhileOptionsChange) {
  restart_with("FLANNELD_IP_MASQ_EXCLUDE", "203.0.113.0/24");
  restart_with("FLANNELD_IP_MASQ_FULLY_RANDOM_DISABLE", "true");
  restart_with("FLANNELD_IPTABLES_FORWARD_RULES", "false");
}

TEST_P(NoGapTest, WhileTheToolsAreExchanged) {
  for (const bool nftables : {!GetParam().nftables, GetParam().nftables}) {
    expect_no_gap(nftables ? "to nftables" : "to iptables", [&] {
      ASSERT_TRUE(
          write_local_config(store(), network_config_text({.v6 = true, .nftables = nftables})));
      restart();
      EXPECT_TRUE(eventually([&] {
        const std::string now = rules();
        return now.contains("flannel-ipv4") == nftables &&
               now.contains("FLANNEL-POSTRTG") != nftables;
      })) << rules();
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Tools, NoGapTest, kTools, name_of);

}  // namespace
}  // namespace flannel

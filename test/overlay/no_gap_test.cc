// No new flow of a pod goes without the node's rules, whatever happens to the daemon: what leaves
// the overlay has the node's address, what stays in it the pod's.

#include "ctl/lab.h"
#include "test/overlay/flows.h"
#include "test/overlay/tools_fixture.h"

namespace flannel {
namespace {

class NoGapTest : public ToolsFixture {
 protected:
  // Out of the overlay and within it.
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
  void flush_rules() const {
    run_on("n1", "nft flush ruleset; iptables -t nat -F; ip6tables -t nat -F");
  }
  std::string rules() const {
    return lab.on("n1", {"sh", "-c", "nft list ruleset; iptables-save; ip6tables-save"}).output;
  }
};

// So that a gap would be seen.
TEST_P(NoGapTest, WithoutRulesFlowsKeepTheAddressesOfPods) {
  ASSERT_EQ(lab.ctl({"stop", "n1"}).status, 0);
  flush_rules();
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

// FLANNELD_REFERENCE is the path of a Go flanneld; without it this is skipped.
class NoGapAdoption : public NoGapTest {
 protected:
  void SetUp() override {
    const char* reference = std::getenv("FLANNELD_REFERENCE");
    if (reference == nullptr) {
      GTEST_SKIP() << "SKIPPED: FLANNELD_REFERENCE does not name a Go flanneld";
    }
    reference_ = reference;
    store_ = "etcd";
    NoGapTest::SetUp();
  }
  void start_reference() const {
    ASSERT_EQ(lab.ctl({"start", "n1", "--flanneld", reference_}).status, 0);
  }
  // Says how many flows fail meanwhile: the Go flannel begins with none of its rules.
  void give_back() const {
    const auto all = flows();
    ASSERT_EQ(lab.ctl({"stop", "n1"}).status, 0);
    start_reference();
    ::usleep(2'000'000);
    for (const std::unique_ptr<Flows>& each : all) {
      const Flows::Count count = each->count();
      fmt::print("back to the Go flannel, {}: {} of {} failed\n", each->name(),
                 count.sent - count.arrived, count.sent);
    }
  }
  // Both families leave with the node's address.
  bool is_masqueraded() const {
    const auto all = flows();
    ::usleep(100'000);
    return std::ranges::all_of(all, [](const auto& each) {
      const Flows::Count count = each->count();
      return count.sent > 0 && count.arrived == count.sent;
    });
  }

  std::string reference_;
};

TEST_P(NoGapAdoption, ANodeIsTakenOverAndGivenBack) {
  ASSERT_EQ(lab.ctl({"stop", "n1"}).status, 0);
  flush_rules();
  start_reference();
  ASSERT_TRUE(eventually([&] { return is_masqueraded(); })) << rules();
  expect_no_gap("from the Go flannel", [&] { restart(); });
  give_back();
  EXPECT_TRUE(eventually([&] { return is_masqueraded(); })) << rules();
}

INSTANTIATE_TEST_SUITE_P(Tools, NoGapAdoption, kTools, name_of);

}  // namespace
}  // namespace flannel

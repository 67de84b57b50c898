// No new flow of a pod goes without the node's rules, whatever happens to the daemon: what leaves
// the overlay has the node's address, what stays in it the pod's.

#include <future>
#include <optional>

#include "ctl/lab.h"
#include "kube/node_annotations.h"
#include "test/overlay/flows.h"
#include "test/overlay/tools_fixture.h"
#include "test/support/fake_kube_api.h"

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
    ASSERT_TRUE(lab.does(words));
    ASSERT_TRUE(lab.does({"start", "n1"}));
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
  // To where the nodes' configuration is.
  virtual void write_config(const std::string& text) const {
    ASSERT_TRUE(write_local_config(store(), text));
  }
  // To the other tool and back, by configurations that `apply` gives to the node.
  template <class Apply>
  void exchange_tools(Apply apply) const {
    for (const bool nftables : {!GetParam().nftables, GetParam().nftables}) {
      expect_no_gap(nftables ? "to nftables" : "to iptables", [&] {
        apply(network_config_text({.v6 = true, .nftables = nftables}));
        EXPECT_TRUE(eventually([&] {
          const std::string now = rules();
          return now.contains("flannel-ipv4") == nftables &&
                 now.contains("flannel-ipv6") == nftables &&
                 now.contains("FLANNEL-POSTRTG") != nftables &&
                 now.contains("FLANNEL-FWD") != nftables;
        })) << rules();
      });
    }
  }
};

// So that a gap would be seen.
TEST_P(NoGapTest, WithoutRulesFlowsKeepTheAddressesOfPods) {
  ASSERT_TRUE(lab.does({"stop", "n1"}));
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
  exchange_tools([&](const std::string& config) {
    ASSERT_TRUE(lab.does({"stop", "n1"}));
    write_config(config);
    ASSERT_TRUE(lab.does({"start", "n1"}));
  });
}

TEST_P(NoGapTest, WhileTheConfigurationExchangesTheTools) {
  exchange_tools([&](const std::string& config) { write_config(config); });
}

INSTANTIATE_TEST_SUITE_P(Tools, NoGapTest, kTools, name_of);

class NoGapEtcd : public NoGapTest {
 protected:
  NoGapEtcd() { store_ = "etcd"; }
  void write_config(const std::string& text) const override {
    const ProgramResult put =
        lab.on("net", {"env", "ETCDCTL_API=3", "etcdctl", "--endpoints=http://198.18.0.1:2379",
                       "put", fmt::format("/flannel-lab/{}/config", lab.name()), text});
    ASSERT_EQ(put.status, 0) << put.output;
  }
};

TEST_P(NoGapEtcd, WhileTheConfigurationExchangesTheTools) {
  exchange_tools([&](const std::string& config) { write_config(config); });
}

INSTANTIATE_TEST_SUITE_P(Tools, NoGapEtcd, kTools, name_of);

// An API server in a node's namespace, where that node alone reaches it.
class NodeApiServer {
 public:
  NodeApiServer(const std::string& netns, const std::vector<NodeObject>& nodes) {
    std::promise<std::string> url;
    thread_ = std::thread([&] {  // setns() is for a thread
      const UniqueFd space(::open(("/run/netns/" + netns).c_str(), O_RDONLY | O_CLOEXEC));
      EXPECT_EQ(::setns(space.get(), CLONE_NEWNET), 0);
      FakeKubeApi api(loop_);
      for (const NodeObject& node : nodes) {
        api.put(node);
      }
      url.set_value(api.url());
      loop_.run();
    });
    url_ = url.get_future().get();
  }
  ~NodeApiServer() {
    loop_.stop();
    thread_.join();
  }
  NodeApiServer(const NodeApiServer&) = delete;
  NodeApiServer& operator=(const NodeApiServer&) = delete;
  const std::string& url() const { return url_; }

 private:
  asio::io_context loop_;
  std::string url_;
  std::thread thread_;
};

// One of the lab's nodes has its leases in Kubernetes, the same as the other has in the lab's file.
class NoGapKube : public NoGapTest {
 protected:
  void SetUp() override {
    NoGapTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) {
      return;
    }
    api_.emplace(lab.name() + "-n1", std::vector{node_object(1), node_object(2)});
    write_config(network_config_text({.v6 = true, .nftables = GetParam().nftables}));
    const std::string program = directory_.file("flanneld");
    ASSERT_TRUE(replace_file(
        program,
        fmt::format("#!/bin/sh\nNODE_NAME=n1 exec {} --kube-subnet-mgr --kube-api-url={} "
                    "--net-config-path={} --subnet-file={}/n1/subnet.env --iface=eth0 --ip-masq\n",
                    TestLab::binary("flanneld"), api_->url(), config_, lab.directory()),
        0755));
    ASSERT_TRUE(lab.does({"stop", "n1"}));
    ASSERT_TRUE(lab.does({"start", "n1", "--flanneld", program}));
    ASSERT_TRUE(eventually([&] { return is_settled(); })) << lab.page(1, "/status");
    ASSERT_TRUE(lab.page(1, "/status").contains("Kubernetes"));
  }
  void write_config(const std::string& text) const override {
    ASSERT_TRUE(replace_file(config_, text, 0644));
  }

 private:
  NodeObject node_object(unsigned number) const {
    NodeObject out{.name = fmt::format("n{}", number)};
    const Lease lease = lease_of(number);
    for (const Family family : kFamilies) {
      out.pod_cidrs.push_back(lease.key.family(family)->to_text());
    }
    const AnnotationChanges annotations = changes_to(lease.attrs, {}).value();
    for (const auto& [name, text] : annotations) {
      if (text) {
        out.annotations[name] = *text;
      }
    }
    return out;
  }

  const std::string config_ = directory_.file("net-conf.json");
  std::optional<NodeApiServer> api_;
};

TEST_P(NoGapKube, WhileTheConfigurationExchangesTheTools) {
  exchange_tools([&](const std::string& config) { write_config(config); });
}

INSTANTIATE_TEST_SUITE_P(Tools, NoGapKube, kTools, name_of);

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
  void start_reference() const { ASSERT_TRUE(lab.does({"start", "n1", "--flanneld", reference_})); }
  // Says how many flows fail meanwhile: the Go flannel begins with none of its rules.
  void give_back() const {
    const auto all = flows();
    ASSERT_TRUE(lab.does({"stop", "n1"}));
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
  ASSERT_TRUE(lab.does({"stop", "n1"}));
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

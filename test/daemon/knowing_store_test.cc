// A daemon on a store that knows more than leases: of the node, and for others that wait for it.

#include <algorithm>
#include <set>

#include "base/file.h"
#include "test/daemon/daemon_fixture.h"

namespace flannel {
namespace {

class KnowingStore : public DaemonFixture<> {};

TEST_F(KnowingStore, TheNodePublishesWhatTheStoreKnowsOfIt) {
  store.facts.public_ip = *IpAddr::parse("203.0.113.7");
  store.facts.published = LeaseAttrs{.backend_data = R"({"VNI":1,"VtepMAC":"02:00:5e:10:00:01"})"};
  options.public_ip = "198.18.0.5";
  start();
  ASSERT_TRUE(run_until([&] { return is_as_planned(); })) << state().reason;
  EXPECT_EQ(store.calls().facts, 1U);
  const LeaseAttrs& attrs = store.leases().at(state().lease()->key).attrs;
  EXPECT_EQ(attrs.public_ip, store.facts.public_ip);
  EXPECT_EQ(attrs.backend_data, store.facts.published->backend_data);
}

TEST_F(KnowingStore, TheNetworkIsReadAsTheStoreReadsIt) {
  store.config = R"({"Network":"10.5.0.0/16","SubnetLen":31,"Backend":{"Type":"vxlan"}})";
  start();
  ASSERT_TRUE(run_until([&] { return state().reason != "starting"; }));
  EXPECT_FALSE(state().overlay);
  EXPECT_EQ(store.calls().facts, 0U);
  store.checks = ConfigChecks::kube;
  EXPECT_TRUE(run_until([&] { return state().overlay != nullptr; })) << state().reason;
}

TEST_F(KnowingStore, WhatFollowsFromANetworkThatChangesMeanwhileBeginsAnew) {
  kernel.host_view.interfaces.front().name = "eth9";
  start();
  ASSERT_TRUE(run_until([&] { return state().reason.starts_with("no external interface"); }));
  store.config = R"({"Network":"10.6.0.0/16","Backend":{"Type":"vxlan"}})";
  store.other_config = true;
  kernel.host_view.interfaces.front().name = "eth0";
  EXPECT_TRUE(run_until([&] { return is_as_planned(); })) << state().reason;
  EXPECT_TRUE(state().overlay->config.v4->network.contains(*state().lease()->key.v4));
  EXPECT_EQ(state().overlay->text, *store.config);
  EXPECT_EQ(daemon().exit_code(), 0);
}

TEST_F(KnowingStore, IsToldOnceThatTheNodeIsReady) {
  store.not_told = "forbidden";
  start();
  ASSERT_TRUE(run_until([&] { return !state().store_health.trouble().empty(); }));
  EXPECT_TRUE(state().ready) << "that is the store's trouble";
  EXPECT_EQ(state().store_health.trouble(), "cannot be notified that we are ready: forbidden");
  store.refuses_ready = true;
  store.not_told = "our account is gone";
  EXPECT_TRUE(run_until([&] { return state().store_health.trouble().ends_with(store.not_told); }));
  EXPECT_EQ(daemon().exit_code(), 0) << "nor is it a node's that works";
  store.refuses_ready = false;
  store.not_told.clear();
  EXPECT_TRUE(run_until([&] { return state().store_health.trouble().empty(); }));
  store.put(peer(1, "198.18.1.1"));
  EXPECT_TRUE(run_until([&] { return state().peers()->usable_count() == 1 && is_as_planned(); }));
  EXPECT_EQ(store.calls().ready, 1U);
}

class ChangedNetwork : public KnowingStore {
 protected:
  void SetUp() override {
    options.ip_masq = true;
    start();
    store.put(peer(1, "198.18.0.1"));
    ASSERT_TRUE(run_until([&] { return state().ready && routes_by("flannel.1") == 1; }))
        << state().reason;
  }
  void change(const std::string& options, const std::string& more = "") {
    store.config = R"({"Network":"10.5.0.0/16","SubnetMin":"10.5.128.0",)" + more +
                   R"("Backend":{"Type":"vxlan")" + options + "}}";
  }
  std::size_t routes_by(const Dev& dev) const {
    return static_cast<std::size_t>(std::ranges::count_if(
        kernel.state.of<Route>(), [&](const Route& route) { return route.dev == dev; }));
  }
  const Link* device() const { return kernel.state.of<Link>().find({Dev("flannel.1")}); }
  std::string subnet_env() const { return read_file(options.subnet_file).value_or(""); }
};

TEST_F(ChangedNetwork, AnotherMtuIsTakenUp) {
  const Link before = *device();
  change(R"(,"MTU":1400)");
  ASSERT_TRUE(run_until([&] { return subnet_env().contains("FLANNEL_MTU=1350\n"); }));
  ASSERT_TRUE(run_until([&] { return device() != nullptr && device()->mtu == 1350; }));
  EXPECT_EQ(device()->mac, before.mac);
  EXPECT_EQ(state().config_watch->trouble(), "");
}

TEST_F(ChangedNetwork, DirectRoutesAreTakenUp) {
  change(R"(,"DirectRouting":true)");
  EXPECT_TRUE(run_until([&] { return routes_by("eth0") == 1; }));
  change("");
  EXPECT_TRUE(run_until([&] { return routes_by("flannel.1") == 1; }));
}

TEST_F(ChangedNetwork, TheOtherToolForRulesIsTakenUp) {
  const auto tables = [&] {
    std::set<FirewallTool> out;
    for (const Ruleset& rules : kernel.state.of<Ruleset>()) {
      out.insert(rules.key.tool);
    }
    return out;
  };
  ASSERT_TRUE(run_until([&] { return tables() == std::set{FirewallTool::iptables}; }));
  change("", R"("EnableNFTables":true,)");
  EXPECT_TRUE(run_until([&] { return tables() == std::set{FirewallTool::nftables}; }));
}

TEST_F(ChangedNetwork, WhatTakesARestartIsSaidAndNothingIsDone) {
  const Link before = *device();
  change(R"(,"VNI":7,"MTU":1400)");
  ASSERT_TRUE(run_until([&] { return !state().config_watch->trouble().empty(); }));
  EXPECT_EQ(state().config_watch->trouble(),
            "the network configuration has changed, and is not taken up: it takes a restart of "
            "flanneld, for Backend.VNI: the backend is made with it");
  EXPECT_TRUE(status_json(state()).contains(state().config_watch->trouble()));
  EXPECT_EQ(*device(), before);
  EXPECT_TRUE(subnet_env().contains("FLANNEL_MTU=1450\n"));
  store.config = R"({"Network":)";
  ASSERT_TRUE(run_until([&] { return state().config_watch->trouble().contains("is not JSON"); }));
  store.config = R"({"Network":"10.5.0.0/16","Backend":{"Type":"nope"}})";
  ASSERT_TRUE(
      run_until([&] { return state().config_watch->trouble().contains("unknown backend type"); }));
  store.config.reset();
  ASSERT_TRUE(run_until([&] { return state().config_watch->trouble().contains("none in fake"); }));
  EXPECT_EQ(*device(), before);
  change("");
  EXPECT_TRUE(run_until([&] { return state().config_watch->trouble().empty(); }));
}

}  // namespace
}  // namespace flannel

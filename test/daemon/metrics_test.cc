// The metrics of a daemon: each is what happened to it.

#include "daemon/metrics.h"

#include <chrono>
#include <cstdlib>
#include <set>

#include "daemon/pages.h"
#include "test/daemon/daemon_fixture.h"

namespace flannel {
namespace {

class Metrics : public DaemonFixture<> {
 protected:
  // Of the sample with this name and these labels, as the text has them; nothing without one.
  std::optional<double> value(const std::string& sample) {
    const std::string text = "\n" + metrics_text(state());
    const std::size_t at = text.find("\n" + sample + " ");
    return at == std::string::npos
               ? std::nullopt
               : std::optional(std::strtod(text.c_str() + at + sample.size() + 2, nullptr));
  }
  bool becomes(const std::string& sample, double wanted) {
    return run_until([&] { return value(sample) == wanted; });
  }
  double repairs() {
    double sum = 0;
    for (const std::string& kind : kind_names()) {
      sum += *value("flannel_repairs_total{kind=\"" + kind + "\"}");
    }
    return sum;
  }
  void start_with_peers(unsigned count) {
    for (unsigned i = 1; i <= count; ++i) {
      store.put(peer(i, fmt::format("198.18.1.{}", i)));
    }
    start();
    ASSERT_TRUE(run_until([&] { return is_as_planned(); })) << state().reason;
  }
  Route route_to(unsigned i) const {
    Route route;
    route.key.dst = *Prefix::parse(fmt::format("10.5.{}.0/24", i));
    return *kernel.state.of<Route>().find(route.key);
  }
};

TEST_F(Metrics, BeforeThereIsANetworkThereIsLittleToCount) {
  const std::optional<std::string> config = std::exchange(store.config, std::nullopt);
  start();
  ASSERT_TRUE(run_until([&] { return state().reason.contains("no network configuration"); }));
  EXPECT_EQ(value("flannel_ready"), 0);
  EXPECT_EQ(value("flannel_store_connected"), 0);
  EXPECT_TRUE(status_json(state()).contains("\"connected\":false")) << "which is the same";
  EXPECT_FALSE(metrics_text(state()).contains("flannel_peers"));
  store.config = config;
  EXPECT_TRUE(becomes("flannel_ready", 1));
  EXPECT_EQ(value("flannel_degraded"), 0);
  EXPECT_EQ(value("flannel_store_connected"), 1);
  EXPECT_EQ(value("flannel_network_info{backend=\"vxlan\",firewall=\"iptables\"}"), 1);
  EXPECT_EQ(value("flannel_interface_mtu_bytes"), 1500);
  EXPECT_EQ(value("flannel_pod_mtu_bytes"), 1450);
  const double in_a_day = static_cast<double>(::time(nullptr)) + 86'400;
  EXPECT_NEAR(*value("flannel_lease_expiry_timestamp_seconds"), in_a_day, 600);
}

TEST_F(Metrics, PeersAreCountedByTheirState) {
  kernel.fail = [](const Op& op, std::size_t) {
    const Route* route = std::get_if<Route>(&op.object);
    return route != nullptr && route->key.dst == *Prefix::parse("10.5.2.0/24") ? EPERM : 0;
  };
  for (unsigned i = 1; i <= 3; ++i) {
    store.put(peer(i, fmt::format("198.18.1.{}", i)));
  }
  store.put(vxlan_lease("10.9.1.0-24", "198.18.1.9", Mac::local(9)));
  Lease other = peer(4, "198.18.1.4");
  other.attrs.backend_type = "host-gw";
  store.put(other);
  start();
  EXPECT_TRUE(becomes("flannel_peers{state=\"ok\"}", 2));
  EXPECT_EQ(value("flannel_peers{state=\"failed\"}"), 1);
  EXPECT_EQ(value("flannel_peers{state=\"pending\"}"), 0);
  EXPECT_EQ(value("flannel_peers{state=\"refused\"}"), 1);
  EXPECT_EQ(value("flannel_peers{state=\"skipped\"}"), 1);
  EXPECT_EQ(value("flannel_problems"), 1);
  EXPECT_TRUE(becomes("flannel_degraded", 1));
  EXPECT_EQ(value("flannel_objects{kind=\"route\"}"), 3);
  EXPECT_EQ(value("flannel_objects_pending{kind=\"route\"}"), 1);
  EXPECT_EQ(value("flannel_objects_pending{kind=\"link\"}"), 0);
  const std::string failures = "flannel_reconcile_failures_total{kind=\"route\",error=\"EPERM\"}";
  EXPECT_TRUE(run_until([&] { return value(failures).value_or(0) >= 3; })) << "each try";
}

TEST_F(Metrics, WhatAnotherProgramUndoesIsCountedAsItIsPutBack) {
  start_with_peers(2);
  EXPECT_EQ(repairs(), 0);
  const double changes = *value("flannel_reconcile_changes_total");
  kernel.outside({Op::Verb::remove, route_to(1)});
  EXPECT_TRUE(becomes("flannel_repairs_total{kind=\"route\"}", 1));
  EXPECT_EQ(value("flannel_reconcile_changes_total"), changes + 1);
  Route surplus = route_to(1);
  surplus.key.dst = *Prefix::parse("10.5.77.0/24");
  kernel.outside({Op::Verb::add, surplus});
  EXPECT_TRUE(becomes("flannel_repairs_total{kind=\"route\"}", 2));
  EXPECT_EQ(repairs(), 2);
  // What lies on a device was not undone by itself.
  kernel.outside({Op::Verb::remove, *kernel.state.of<Link>().begin()});
  EXPECT_TRUE(becomes("flannel_repairs_total{kind=\"link\"}", 1));
  ASSERT_TRUE(run_until([&] { return is_as_planned(); }));
  EXPECT_EQ(repairs(), 3);
}

class DualStackMetrics : public Metrics {
 protected:
  DualStackMetrics() {
    add_address("fd00::2", 64);
    store.config =
        R"({"Network":"10.5.0.0/16","SubnetMin":"10.5.128.0","EnableIPv6":true,"IPv6Network":"fc00:5::/48","Backend":{"Type":"vxlan"}})";
  }
  static Lease dual_peer(unsigned i, const std::string& key) {
    Lease lease = vxlan_lease(key, fmt::format("198.18.1.{}", i), Mac::local(i));
    lease.attrs.public_ipv6 = *IpAddr::parse(fmt::format("fd00::1:{}", i));
    lease.attrs.backend_v6_data = fmt::format(R"({{"VtepMAC":"{}"}})", Mac::local(i).to_text());
    return lease;
  }
};

TEST_F(DualStackMetrics, ANodeCountsOnceByTheWorstOfIt) {
  store.put(dual_peer(1, "10.5.1.0-24&fc00:5:0:1::-64"));
  Lease other = dual_peer(2, "10.5.2.0-24&fc00:5:0:2::-64");
  other.attrs.backend_type = "host-gw";
  store.put(other);
  store.put(dual_peer(3, "10.5.3.0-24&fc00:9:0:3::-64"));
  other = dual_peer(4, "10.5.4.0-24&fc00:9:0:4::-64");
  other.attrs.backend_type = "host-gw";
  store.put(other);
  start();
  ASSERT_TRUE(run_until([&] { return is_as_planned(); })) << state().reason;
  EXPECT_EQ(value("flannel_peers{state=\"ok\"}"), 1);
  EXPECT_EQ(value("flannel_peers{state=\"skipped\"}"), 1);
  EXPECT_EQ(value("flannel_peers{state=\"refused\"}"), 2) << "IPv6 outside of IPv6Network";
  const std::string reason = "its backend type is \"host-gw\", ours is vxlan";
  EXPECT_EQ(
      state().planner->skipped(),
      (std::vector<Refused>{{"10.5.2.0-24&fc00:5:0:2::-64", reason}, {"10.5.4.0-24", reason}}));
}

TEST_F(Metrics, WarningsAreThoseOfTheStatus) {
  start_with_peers(1);
  EXPECT_EQ(value("flannel_warnings"), 0);
  store.config = R"({"Network":"10.6.0.0/16","Backend":{"Type":"vxlan"}})";
  EXPECT_TRUE(becomes("flannel_warnings", 1)) << status_json(state());
  EXPECT_EQ(value("flannel_degraded"), 0);
}

TEST_F(Metrics, WhatIsOnlyDoneAtLastIsNoRepair) {
  bool refuses = true;
  kernel.fail = [&refuses](const Op& op, std::size_t) {
    return refuses && std::holds_alternative<Link>(op.object) ? EPERM : 0;
  };
  store.put(peer(1, "198.18.1.1"));
  start();
  const std::string failures = "flannel_reconcile_failures_total{kind=\"link\",error=\"EPERM\"}";
  ASSERT_TRUE(run_until([&] { return value(failures).value_or(0) >= 2; }));
  EXPECT_EQ(value("flannel_objects_pending{kind=\"route\"}"), 1) << "it waits";
  refuses = false;
  ASSERT_TRUE(run_until([&] { return is_as_planned(); })) << state().reason;
  EXPECT_EQ(repairs(), 0);
}

TEST_F(Metrics, NorIsWhatAnEarlierDaemonLeft) {
  start_with_peers(2);
  crash();
  store.remove(peer(1, "198.18.1.1").key);
  start();
  ASSERT_TRUE(run_until([&] { return is_as_planned(); })) << state().reason;
  EXPECT_GT(*value("flannel_reconcile_changes_total"), 0) << "the peer that is gone";
  EXPECT_EQ(repairs(), 0);
}

TEST_F(Metrics, WhatTheStoreSaysIsCounted) {
  start_with_peers(2);
  EXPECT_EQ(value("flannel_store_lists_total"), 1);
  const double puts = *value("flannel_store_events_total{type=\"put\"}");
  store.put(peer(3, "198.18.1.3"));
  EXPECT_TRUE(becomes("flannel_store_events_total{type=\"put\"}", puts + 1));
  store.remove(peer(2, "198.18.1.2").key);
  EXPECT_TRUE(becomes("flannel_store_events_total{type=\"delete\"}", 1));
  store.lose_events();
  EXPECT_TRUE(becomes("flannel_store_lists_total", 2));
  EXPECT_EQ(value("flannel_store_events_total{type=\"put\"}"), puts + 1);
  store.fail_with("away");
  EXPECT_TRUE(becomes("flannel_store_connected", 0));
  EXPECT_EQ(value("flannel_ready"), 1);
  EXPECT_EQ(value("flannel_degraded"), 1);
  store.fail_with("");
  EXPECT_TRUE(becomes("flannel_store_connected", 1));
}

TEST_F(Metrics, AJoinIsTimedUntilTheKernelHasIt) {
  start_with_peers(2);
  const std::string count = "flannel_programming_duration_seconds_count";
  EXPECT_EQ(value(count), 1) << "the first list";
  const double seconds = *value("flannel_programming_duration_seconds_sum");
  store.put(peer(3, "198.18.1.3"));
  ASSERT_TRUE(becomes("flannel_peers{state=\"ok\"}", 3));
  EXPECT_EQ(value(count), 2);
  EXPECT_GT(*value("flannel_programming_duration_seconds_sum"), seconds);
  // A pass for another reason is none.
  const double passes = *value("flannel_reconcile_passes_total");
  kernel.outside({Op::Verb::remove, route_to(1)});
  ASSERT_TRUE(run_until([&] { return value("flannel_reconcile_passes_total") > passes; }));
  EXPECT_EQ(value(count), 2);
}

// Observed when it is there, not when a pass has tried.
TEST_F(Metrics, AJoinThatTheKernelRefusesIsNotTimedYet) {
  start_with_peers(1);
  bool refuses = true;
  kernel.fail = [&refuses](const Op& op, std::size_t) {
    return refuses && std::holds_alternative<Route>(op.object) ? EPERM : 0;
  };
  const std::string count = "flannel_programming_duration_seconds_count";
  store.put(peer(2, "198.18.1.2"));
  const std::string failures = "flannel_reconcile_failures_total{kind=\"route\",error=\"EPERM\"}";
  ASSERT_TRUE(run_until([&] { return value(failures).value_or(0) >= 2; }));
  EXPECT_EQ(value(count), 1) << "the first list";
  refuses = false;
  ASSERT_TRUE(becomes("flannel_peers{state=\"ok\"}", 2));
  EXPECT_EQ(value(count), 2);
}

TEST_F(Metrics, EntriesThatCannotBeReadAreCountedAlsoBeyondThoseWithNames) {
  start_with_peers(1);
  const double puts = *value("flannel_store_events_total{type=\"put\"}");
  constexpr int kEntries = 1'500;
  for (int i = 0; i < kEntries; ++i) {
    store.put_bad({fmt::format("junk{}", i), "not a subnet"});
  }
  EXPECT_TRUE(becomes("flannel_peers{state=\"refused\"}", kEntries));
  EXPECT_EQ(value("flannel_store_events_total{type=\"put\"}"), puts + kEntries);
}

// Whoever reaches the port may ask without pause.
TEST_F(Metrics, APageIsMadeOnceASecond) {
  start_with_peers(1);
  std::set<std::string> pages;
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < 500; ++i) {
    pages.insert(metrics_page(state(), "/metrics")->body);
  }
  const auto took = std::chrono::steady_clock::now() - began;
  EXPECT_LE(pages.size(), 1U + static_cast<std::size_t>(took / std::chrono::seconds(1)));
}

TEST_F(Metrics, KindsAreNamedAsInThePlan) {
  EXPECT_EQ(kind_names(), (std::vector<std::string>{"link", "sysctl", "addr", "neigh", "fdb",
                                                    "nexthop", "route", "rules"}));
}

}  // namespace
}  // namespace flannel

// A daemon on a store that knows more than leases: of the node, and for others that wait for it.

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

}  // namespace
}  // namespace flannel

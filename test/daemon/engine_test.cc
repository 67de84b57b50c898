// A backend with an engine (backend/engine.h), which only this test has, under the real daemon.

#include <boost/json/parse.hpp>

#include "test/daemon/daemon_fixture.h"
#include "test/daemon/with_relay/relay.h"

namespace flannel {
namespace {

class EngineTest : public DaemonFixture<> {
 protected:
  EngineTest() {
    relay = {};
    store.config =
        R"({"Network":"10.5.0.0/16","SubnetMin":"10.5.128.0","Backend":{"Type":"relay"}})";
  }

  static Lease relay_peer(unsigned i, const std::string& data) {
    return {{.v4 = Prefix::parse(fmt::format("10.5.{}.0/24", i)).value(), .v6 = {}},
            {*IpAddr::parse(fmt::format("198.18.1.{}", i)), {}, "relay", "\"" + data + "\"", ""},
            {}};
  }
  boost::json::value status() { return boost::json::parse(status_json(state())); }
  std::string reason() { return std::string(status().at("reason").as_string()); }
};

TEST_F(EngineTest, WhatItPreparesIsInTheLeaseFromTheFirstOnAndStaysThere) {
  relay.no_address = "the relay does not answer";
  start();
  ASSERT_TRUE(run_until([&] { return state().reason != "starting"; }));
  EXPECT_EQ(reason(), "Error registering network: the relay does not answer");
  EXPECT_EQ(store.calls().acquire, 0U);
  relay.no_address.clear();
  ASSERT_TRUE(run_until([&] { return state().ready; })) << reason();
  const LeaseKey key = state().lease()->key;
  EXPECT_EQ(store.leases().at(key).attrs.backend_data, R"("relay-1")");

  relay.address = "relay-2";
  kernel.host_view.interfaces.front().addresses.clear();
  add_address("198.18.0.3", 16);
  kernel.change_host({.all = false, .links = {"eth0"}, .routes = {}});
  ASSERT_TRUE(run_until(
      [&] { return store.leases().at(key).attrs.public_ip == *IpAddr::parse("198.18.0.3"); }));
  EXPECT_EQ(store.leases().at(key).attrs.backend_data, R"("relay-1")");
  EXPECT_EQ(relay.prepared, 1);
  EXPECT_TRUE(run_until([&] { return relay.own == "198.18.0.3"; })) << "it is told";
}

TEST_F(EngineTest, IsToldOfThePeersThatChangeAlone) {
  store.put(relay_peer(1, "a"));
  store.put(relay_peer(2, "b"));
  start();
  ASSERT_TRUE(run_until([&] { return state().ready; })) << reason();
  EXPECT_EQ(relay.peers.size(), 2U) << "before the node is ready";
  const int told = relay.told;
  store.put(relay_peer(3, "c"));
  ASSERT_TRUE(run_until([&] { return relay.peers.size() == 3; }));
  store.put(relay_peer(1, "d"));
  ASSERT_TRUE(run_until([&] { return relay.peers["10.5.1.0-24"] == R"("d")"; }));
  store.remove(relay_peer(2, "b").key);
  ASSERT_TRUE(run_until([&] { return !relay.peers.contains("10.5.2.0-24"); }));
  EXPECT_EQ(relay.told - told, 4) << "one came, one changed, which is both, one left";
}

TEST_F(EngineTest, TheNodeIsNotReadyBeforeItWorksAndTheReasonIsItsOwn) {
  relay.broken = "no such program: relayd";
  start();
  ASSERT_TRUE(run_until([&] { return relay.begun > 1; })) << reason();
  EXPECT_FALSE(state().ready);
  EXPECT_EQ(reason(), "the backend does not work yet: no such program: relayd");
  EXPECT_EQ(store.calls().acquire, 1U) << "the lease is held meanwhile";
  relay.broken.clear();
  EXPECT_TRUE(run_until([&] { return state().ready; })) << reason();
  EXPECT_EQ(status().at("state"), "ready");
}

TEST_F(EngineTest, WhatGoesWrongLaterIsATroubleUntilItRunsAgain) {
  start();
  ASSERT_TRUE(run_until([&] { return state().ready; })) << reason();
  relay.trouble = "the relay refuses 10.5.1.0-24";
  store.put(relay_peer(1, "a"));
  ASSERT_TRUE(run_until([&] { return !state().engine->trouble().empty(); }));
  EXPECT_EQ(status().at("state"), "degraded");
  EXPECT_EQ(status().at("troubles").at(0), "backend: the relay refuses 10.5.1.0-24");

  relay.trouble.clear();
  relay.broken = "relayd has ended";
  store.put(relay_peer(2, "b"));
  ASSERT_TRUE(run_until([&] { return state().engine->trouble() == relay.broken; }));
  EXPECT_TRUE(state().ready);
  store.put(relay_peer(3, "c"));  // between two runs
  relay.broken.clear();
  ASSERT_TRUE(run_until([&] { return state().engine->trouble().empty(); }));
  EXPECT_EQ(relay.peers.size(), 3U);
  EXPECT_EQ(status().at("state"), "ready");
}

TEST_F(EngineTest, BeginsWithTheLastKnownPeersWhileTheStoreIsAway) {
  options.state_dir = directory.file("state");
  store.put(relay_peer(1, "a"));
  start();
  ASSERT_TRUE(run_until([&] {
    return state().ready && state().writer->trouble().empty() && state().fallback.get() == nullptr;
  }));
  daemon().stop();
  crash();
  EXPECT_EQ(relay.engines, 0) << "it ends with the daemon";
  relay.peers.clear();
  store.fail_with("no route to host");
  start();
  ASSERT_TRUE(run_until([&] { return state().ready; })) << reason();
  EXPECT_EQ(relay.peers.size(), 1U);
  EXPECT_EQ(state().lease()->attrs.backend_data, R"("relay-1")");
}

}  // namespace
}  // namespace flannel

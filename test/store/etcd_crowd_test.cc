// Many nodes at once in a real etcd.
#include "test/store/etcd_store_fixture.h"

namespace flannel {
namespace {

class EtcdCrowd : public EtcdStoreTest {
 protected:
  // Each node with a connection of its own.
  std::vector<Result<Lease>> join_at_once(const EtcdServer& server, const NetworkConfig& config,
                                          unsigned nodes) {
    std::vector<Task<Result<Lease>>> tasks;
    for (unsigned i = 0; i < nodes; ++i) {
      stores_.push_back(open(server));
      const IpAddr ip = IpAddr::from_number(Family::v4, 0xc6120002 + i);
      LeaseAttrs attrs = node(ip.to_text());
      if (config.v6) {
        attrs.public_ipv6 = *IpAddr::parse(fmt::format("fd12::{:x}", i + 1));
      }
      tasks.push_back(stores_.back()->acquire({.network = config, .attrs = attrs, .previous = {}}));
    }
    return run_all(std::move(tasks));
  }

  std::vector<std::unique_ptr<LeaseStore>> stores_;
};

TEST_F(EtcdCrowd, TwoHundredNodesThatJoinAtOnceGetSubnetsOfTheirOwn) {
  EtcdServer server;
  std::set<std::string> subnets;
  for (const Result<Lease>& lease : join_at_once(server, network(), 200)) {
    ASSERT_TRUE(lease) << lease.error().text;
    subnets.insert(to_text(lease->key));
  }
  EXPECT_EQ(subnets.size(), 200U);
  const std::string keys = server.ctl({"get", "--prefix", "--keys-only", kSubnets});
  for (const std::string& subnet : subnets) {
    EXPECT_NE(keys.find(kSubnets + subnet + "\n"), std::string::npos);
  }
}

// In networks that hold few more, so that they draw the same subnets all the time: what is free in
// one family need not be so in the other.
TEST_F(EtcdCrowd, TwoHundredNodesOfBothFamiliesShareNoSubnetOfEither) {
  EtcdServer server;
  const NetworkConfig both =
      network(R"({"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fc00:5::/54",)"
              R"("IPv6SubnetLen":64,"Backend":{"Type":"vxlan"}})");
  std::set<Prefix> v4, v6;
  for (const Result<Lease>& lease : join_at_once(server, both, 200)) {
    ASSERT_TRUE(lease) << lease.error().text;
    EXPECT_TRUE(v4.insert(*lease->key.v4).second) << to_text(lease->key);
    EXPECT_TRUE(v6.insert(*lease->key.v6).second) << to_text(lease->key);
  }
  const LeaseUpdate all = run(stores_[0]->watch()->next());
  EXPECT_EQ(all.leases.size(), 200U) << "who tried again has given back what it had";
}

// As a node of another version makes it, between our look and our entry: it was first.
TEST_F(EtcdCrowd, WhoHasASubnetThatAnotherHadBeforeTakesAnother) {
  EtcdServer server;
  server.ctl({"put", kSubnets + "10.5.7.0-24&fc00:5:0:1::-64",
              R"({"PublicIP":"198.18.0.9","PublicIPv6":"fd12::9"})"});
  server.ctl({"put", kSubnets + "10.5.8.0-24&fc00:5:0:1::-64",
              R"({"PublicIP":"198.18.0.2","PublicIPv6":"fd12::2"})"});
  const NetworkConfig both =
      network(R"({"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fc00:5::/48",)"
              R"("Backend":{"Type":"vxlan"}})");
  LeaseAttrs attrs = node("198.18.0.2");
  attrs.public_ipv6 = *IpAddr::parse("fd12::2");
  const auto store = open(server);
  // The second entry is a reservation, which stays what the administrator made it.
  const Result<Lease> reserved =
      run(store->acquire({.network = both, .attrs = attrs, .previous = {}}));
  ASSERT_TRUE(reserved) << reserved.error().text;
  EXPECT_EQ(to_text(reserved->key), "10.5.8.0-24&fc00:5:0:1::-64");
  server.ctl({"del", kSubnets + to_text(reserved->key)});
  const Result<Lease> renewed = run(store->renew(*reserved));
  ASSERT_FALSE(renewed);
  EXPECT_EQ(renewed.error().text, "fc00:5:0:1::/64 is held by 198.18.0.9");
  const Result<Lease> lease =
      run(store->acquire({.network = both, .attrs = attrs, .previous = reserved->key}));
  ASSERT_TRUE(lease) << lease.error().text;
  EXPECT_NE(lease->key.v6->to_text(), "fc00:5:0:1::/64");
}

// Three subnets for five nodes: the losers are told, and get the one that is freed.
TEST_F(EtcdCrowd, AFullNetworkSaysSoAndGivesWhatIsFreed) {
  EtcdServer server;
  const NetworkConfig small =
      network(R"({"Network":"10.5.0.0/22","SubnetLen":24,"Backend":{"Type":"vxlan"}})");
  std::vector<Lease> winners;
  for (const Result<Lease>& lease : join_at_once(server, small, 5)) {
    if (lease) {
      winners.push_back(*lease);
    } else {
      EXPECT_EQ(lease.error().text, "out of subnets");
    }
  }
  ASSERT_EQ(winners.size(), 3U);
  server.ctl({"del", kSubnets + to_text(winners[0].key)});
  const Result<Lease> freed =
      run(stores_[0]->acquire({.network = small, .attrs = node("198.18.0.99"), .previous = {}}));
  ASSERT_TRUE(freed) << freed.error().text;
  EXPECT_EQ(freed->key, winners[0].key);
}

}  // namespace
}  // namespace flannel

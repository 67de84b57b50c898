// Many nodes at once in a real etcd.
#include "etcd_store_fixture.h"

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
      tasks.push_back(stores_.back()->acquire(
          {.network = config, .attrs = node(ip.to_text()), .previous = {}}));
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

// Following the leases in a real etcd.
#include "store/etcd_client.h"
#include "test/store/etcd_store_fixture.h"

namespace flannel {
namespace {

using EtcdWatchTest = EtcdStoreTest;

TEST_F(EtcdWatchTest, AWatchBeginsWithEverythingAndFollowsChanges) {
  EtcdServer server;
  put_peer(server, 1);
  server.ctl({"put", "/coreos.com/network/subnetsX/10.5.2.0-24", R"({"PublicIP":"198.18.0.2"})"});
  const auto store = open(server);
  const auto watch = store->watch();
  const LeaseUpdate all = run(watch->next());
  EXPECT_TRUE(all.snapshot);
  ASSERT_EQ(all.leases.size(), 1U);
  EXPECT_EQ(to_text(all.leases[0].key), "10.5.1.0-24");
  put_peer(server, 3);
  const LeaseUpdate added = run(watch->next());
  EXPECT_FALSE(added.snapshot);
  ASSERT_EQ(added.leases.size(), 1U);
  EXPECT_EQ(added.leases[0].attrs.public_ip, IpAddr::parse("198.18.0.3").value());
  server.ctl({"del", kSubnets + "10.5.1.0-24"});
  EXPECT_EQ(run(watch->next()).removed, std::vector{key_of("10.5.1.0-24")});
}

TEST_F(EtcdWatchTest, JunkIsReportedAndTheRestIsNotAffected) {
  EtcdServer server;
  server.ctl({"put", kSubnets + "readme", "hello"});
  server.ctl({"put", kSubnets + "10.5.1.0-24", "not json"});
  put_peer(server, 2);
  const auto store = open(server);
  const auto watch = store->watch();
  const LeaseUpdate all = run(watch->next());
  ASSERT_EQ(all.leases.size(), 1U);
  ASSERT_EQ(all.bad.size(), 2U);
  EXPECT_EQ(all.bad[0].key, "10.5.1.0-24");
  EXPECT_EQ(all.bad[1].key, "readme");
  EXPECT_FALSE(all.bad[1].reason.empty());
  server.ctl({"put", kSubnets + "10.5.3.0-24", R"({"PublicIP":"nowhere"})"});
  const LeaseUpdate update = run(watch->next());
  EXPECT_FALSE(update.snapshot);
  EXPECT_TRUE(update.leases.empty());
  EXPECT_EQ(update.bad.size(), 1U);
  const Result<Lease> lease =
      run(store->acquire({.network = network(), .attrs = node("198.18.0.9")}));
  EXPECT_TRUE(lease);
}

TEST_F(EtcdWatchTest, AWatchResumesAfterEtcdRestarts) {
  EtcdServer server;
  const auto store = open(server);
  const auto watch = store->watch();
  run(watch->next());
  put_peer(server, 1);
  EXPECT_EQ(run(watch->next()).leases.size(), 1U);
  server.stop();
  server.start();
  put_peer(server, 2);
  const LeaseUpdate update = run(watch->next());
  EXPECT_FALSE(update.snapshot);
  ASSERT_EQ(update.leases.size(), 1U);
  EXPECT_EQ(to_text(update.leases[0].key), "10.5.2.0-24");
  ASSERT_GE(troubles.size(), 2U);
  EXPECT_NE(troubles.front(), "");
  EXPECT_EQ(troubles.back(), "");
}

TEST_F(EtcdWatchTest, ACompactedHistoryIsReplacedByANewSnapshot) {
  EtcdServer server;
  const auto store = open(server);
  const auto watch = store->watch();
  run(watch->next());  // the stream is opened by the next call, at a revision that is gone by then
  for (unsigned number = 1; number <= 3; ++number) {
    put_peer(server, number);
  }
  server.ctl({"compact", "4"});
  const LeaseUpdate update = run(watch->next());
  EXPECT_TRUE(update.snapshot);
  EXPECT_EQ(update.leases.size(), 3U);
  server.ctl({"del", kSubnets + "10.5.1.0-24"});
  EXPECT_EQ(run(watch->next()).removed.size(), 1U);
}

TEST_F(EtcdWatchTest, AnEtcdWithAnOlderHistoryIsListedAgain) {
  EtcdServer server;
  const auto store = open(server);
  for (unsigned number = 1; number <= 3; ++number) {
    put_peer(server, number);
  }
  const auto watch = store->watch();
  EXPECT_EQ(run(watch->next()).leases.size(), 3U);
  server.stop();
  server.erase_data();
  server.start();
  put_peer(server, 9);
  const LeaseUpdate update = run(watch->next());
  EXPECT_TRUE(update.snapshot);
  ASSERT_EQ(update.leases.size(), 1U);
  EXPECT_EQ(to_text(update.leases[0].key), "10.5.9.0-24");
}

// Leases 10.0.0.0-24 onwards, `count` of them, 100 in a transaction.
Task<bool> fill(EtcdClient* client, int count) {
  for (int i = 0; i < count;) {
    etcd::TxnRequest txn;
    for (int n = 0; n < 100 && i < count; ++n, ++i) {
      txn.success.push_back(
          {.key = fmt::format("{}10.{}.{}.0-24", kSubnets, i / 256, i % 256),
           .value = to_json(node(fmt::format("198.18.{}.{}", i / 256, i % 256)))});
    }
    co_await client->txn(std::move(txn));
  }
  co_return true;
}

TEST_F(EtcdWatchTest, ListsAndFollowsFiveThousandLeases) {
  EtcdServer server;
  const Endpoint endpoint = *parse_endpoint(server.url());
  EtcdClient client(loop.get_executor(), {endpoint}, nullptr, {});
  const auto store = open(server);
  const auto empty_watch = store->watch();
  run(empty_watch->next());
  ASSERT_TRUE(run(fill(&client, 5000)));
  const auto watch = store->watch();
  EXPECT_EQ(run(watch->next()).leases.size(), 5000U);
  std::size_t followed = 0;
  while (followed < 5000) {  // the history, in however many responses
    const LeaseUpdate update = run(empty_watch->next());
    ASSERT_FALSE(update.snapshot);
    ASSERT_FALSE(update.leases.empty());
    followed += update.leases.size();
  }
  EXPECT_EQ(followed, 5000U);
  const NetworkConfig wide = network(R"({"Network": "10.0.0.0/8", "SubnetLen": 24})");
  EXPECT_TRUE(run(store->acquire({.network = wide, .attrs = node("198.19.0.1")})));
}

TEST_F(EtcdWatchTest, CanBeDroppedAtAnyMoment) {
  EtcdServer server;
  for (int handlers = 0; handlers < 40; ++handlers) {
    asio::io_context own_loop;
    Result<std::unique_ptr<LeaseStore>> store =
        make_etcd_store(own_loop.get_executor(), EtcdOptions{.endpoints = server.url()});
    const std::unique_ptr<LeaseWatch> watch = (*store)->watch();
    asio::co_spawn(own_loop, watch->next(), asio::detached);
    asio::co_spawn(own_loop, (*store)->acquire({.network = network(), .attrs = node("198.18.0.2")}),
                   asio::detached);
    for (int i = 0; i < handlers && own_loop.run_one_for(20ms) > 0; ++i) {
    }
  }
}

}  // namespace
}  // namespace flannel

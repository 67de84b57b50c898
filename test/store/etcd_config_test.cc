// Following the network configuration in etcd, beside the leases.
#include <algorithm>

#include "test/store/etcd_store_fixture.h"
#include "test/support/etcd_replies.h"

namespace flannel {
namespace {

const std::string kKey = "/coreos.com/network/config";

// Counts what a watch tells, for the test's life.
Task<void> follow(LeaseWatch* watch, std::size_t* updates) {
  for (;;) {
    co_await watch->next();
    ++*updates;
  }
}

class EtcdConfig : public EtcdStoreTest {
 protected:
  // A store that has read `text`, and follows the leases.
  void begin(const EtcdServer& server, const std::string& text) {
    server.ctl({"put", kKey, text});
    store = open(server);
    ASSERT_EQ(run(store->config()), text);
    begin_watch();
  }
  void begin_watch() {
    watch = store->watch();
    asio::co_spawn(loop, follow(watch.get(), &updates), asio::detached);
    run_until([&] { return updates == 1; });
  }
  // Until the watch has told of another lease.
  void see(const EtcdServer& server, unsigned peer) {
    const std::size_t before = updates;
    put_peer(server, peer);
    run_until([&] { return updates > before; });
  }

  std::unique_ptr<LeaseStore> store;
  std::unique_ptr<LeaseWatch> watch;
  std::size_t updates = 0;
};

TEST_F(EtcdConfig, IsFollowedBesideTheLeases) {
  EtcdServer server;
  begin(server, "one");
  for (const char* text : {"two", "three"}) {
    const std::optional<std::string> last = run(store->config());
    see(server, 1);
    server.ctl({"put", kKey, text});
    EXPECT_EQ(run(store->next_config(last)), text);
  }
  see(server, 2);
}

TEST_F(EtcdConfig, IsReadAnewAfterAnOutage) {
  EtcdServer server;
  begin(server, "one");
  see(server, 1);
  server.stop();
  loop.poll();
  server.start();
  server.ctl({"put", kKey, "two"});
  server.ctl({"compact", "3"});
  EXPECT_EQ(run(store->next_config("one")), "two");
  server.ctl({"put", kKey, "three"});
  EXPECT_EQ(run(store->next_config("two")), "three");
}

TEST_F(EtcdConfig, IsReadAnewWhereItsHistoryIsCompactedBeforeTheWatch) {
  EtcdServer server;
  server.ctl({"put", kKey, "one"});
  store = open(server);
  ASSERT_EQ(run(store->config()), "one");
  server.ctl({"put", kKey, "two"});
  put_peer(server, 1);
  put_peer(server, 2);
  server.ctl({"compact", "5"});
  begin_watch();
  EXPECT_EQ(run(store->next_config("one")), "two");
  server.ctl({"put", kKey, "three"});
  EXPECT_EQ(run(store->next_config("two")), "three");
  see(server, 3);
}

TEST_F(EtcdConfig, IsReadAnewFromABackup) {
  EtcdServer server;
  server.ctl({"put", kKey, "older"});
  server.stop();
  server.save_data();
  server.start();
  begin(server, "one");
  see(server, 1);
  server.stop();
  server.restore_data();
  server.start();
  EXPECT_EQ(run(store->next_config("one")), "older");
  server.ctl({"put", kKey, "newer"});
  EXPECT_EQ(run(store->next_config("older")), "newer");
}

// A role that has the leases alone follows them all the same.
TEST_F(EtcdConfig, OfARoleThatMayNotReadItLeavesTheLeasesAlone) {
  EtcdServer server;
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"user", "add", "root:root-secret"},
                                             {"user", "grant-role", "root", "root"},
                                             {"user", "add", "node:node-secret"},
                                             {"role", "add", "leases"},
                                             {"role", "grant-permission", "leases", "readwrite",
                                              kSubnets, "/coreos.com/network/subnets0"},
                                             {"user", "grant-role", "node", "leases"},
                                             {"auth", "enable"}}) {
    server.ctl(words);
  }
  store =
      open(EtcdOptions{.endpoints = server.url(), .username = "node", .password = "node-secret"});
  testing::internal::CaptureStderr();
  begin_watch();
  const auto put = [&](const char* key) {
    const std::size_t before = updates;
    server.ctl({"--user=root:root-secret", "put", kSubnets + key, R"({"PublicIP":"198.18.0.1"})"});
    run_until([&] { return updates > before; });
  };
  put("10.5.1.0-24");
  put("10.5.2.0-24");
  server.stop();
  loop.poll();
  server.start();
  put("10.5.3.0-24");
  const std::string log = testing::internal::GetCapturedStderr();
  const std::string line = "does not tell of changes of the network configuration";
  EXPECT_NE(log.find(line), std::string::npos) << log;
  EXPECT_EQ(log.find(line), log.rfind(line)) << log;
}

using EtcdConfigCalls = FakeEtcdTest;

// The first watch goes on from what was read: to follow the key costs no call.
TEST_F(EtcdConfigCalls, AreNoMoreWhileNothingChanges) {
  FakeEtcd server(loop, [](const std::string& path, const std::string&) { return honest(path); });
  const auto store = open(server);
  run(store->config());
  const auto watch = store->watch();
  bool is_told = false;
  asio::co_spawn(loop, store->next_config("another"),
                 [&](const std::exception_ptr&, const Result<std::string>&) { is_told = true; });
  run(watch->next());
  run(watch->next());
  EXPECT_EQ(server.calls(), 3U) << "the configuration, the leases, the watch";
  EXPECT_FALSE(is_told);
}

}  // namespace
}  // namespace flannel

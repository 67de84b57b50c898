// What happens to a real etcd, and that the store comes through it.
#include <filesystem>

#include "ctl/process.h"
#include "test/store/etcd_store_fixture.h"

namespace flannel {
namespace {

class EtcdRecovery : public EtcdStoreTest {
 protected:
  // Of a user that allow() made.
  static EtcdOptions options_of(const EtcdServer& server, const std::string& user) {
    return {.endpoints = server.url(), .username = user, .password = user + "-secret"};
  }
  // Updates until it is a snapshot; what was in it.
  std::set<std::string> next_snapshot(LeaseWatch& watch) {
    for (;;) {
      const LeaseUpdate update = run(watch.next());
      if (update.snapshot) {
        return key_texts(update.leases);
      }
    }
  }
};

using Keys = std::set<std::string>;

TEST_F(EtcdRecovery, ARestoredBackupIsListedAnew) {
  EtcdServer server;
  put_peer(server, 1);
  const auto store = open(server);
  const auto watch = store->watch();
  EXPECT_EQ(next_snapshot(*watch), Keys{"10.5.1.0-24"});
  server.stop();
  server.save_data();
  server.start();
  put_peer(server, 2);
  EXPECT_EQ(run(watch->next()).leases.size(), 1U);
  server.stop();
  server.restore_data();
  server.start();
  EXPECT_EQ(next_snapshot(*watch), Keys{"10.5.1.0-24"});
  put_peer(server, 3);
  EXPECT_EQ(key_texts(run(watch->next()).leases), Keys{"10.5.3.0-24"});
}

// The new store has counted further than the old one by the time we look.
TEST_F(EtcdRecovery, AStoreThatWasWipedAndFilledAgainIsListedAnew) {
  EtcdServer server;
  put_peer(server, 1);
  put_peer(server, 2);
  const auto store = open(server);
  const auto watch = store->watch();
  EXPECT_EQ(next_snapshot(*watch), (Keys{"10.5.1.0-24", "10.5.2.0-24"}));
  server.stop();
  server.erase_data();
  server.start();
  for (unsigned number = 3; number <= 8; ++number) {
    put_peer(server, number);
  }
  const Keys keys = next_snapshot(*watch);
  EXPECT_EQ(keys.size(), 6U);
  EXPECT_FALSE(keys.contains("10.5.1.0-24"));
}

// Compacted meanwhile, so that the last event we saw is gone: what changed is in the new list.
TEST_F(EtcdRecovery, WhatACompactionHidIsInTheNextList) {
  EtcdServer server;
  put_peer(server, 1);
  put_peer(server, 2);
  const auto store = open(server);
  const auto watch = store->watch();
  EXPECT_EQ(next_snapshot(*watch).size(), 2U);
  server.ctl({"put", kSubnets + "10.5.1.0-24", R"({"PublicIP":"198.18.0.99"})"});
  server.ctl({"del", kSubnets + "10.5.2.0-24"});
  server.ctl({"compact", "5"});
  const LeaseUpdate update = run(watch->next());
  EXPECT_TRUE(update.snapshot);
  ASSERT_EQ(update.leases.size(), 1U);
  EXPECT_EQ(update.leases[0].attrs.public_ip->to_text(), "198.18.0.99");
}

// Half-open: the connection stands, and nobody is behind it.
TEST_F(EtcdRecovery, ASilentServerIsNoticedAndItsReturnToo) {
  EtcdServer server;
  const auto store = open(server);
  const auto watch = store->watch();
  EXPECT_TRUE(run(watch->next()).snapshot);
  std::optional<LeaseUpdate> update;
  asio::co_spawn(loop, watch->next(),
                 [&](std::exception_ptr, LeaseUpdate next) { update = std::move(next); });
  loop.run_for(100ms);
  server.pause();
  run_until([&] { return !troubles.empty(); });
  EXPECT_NE(troubles.front().find("no sign of life"), std::string::npos) << troubles.front();
  server.go_on();
  run_until([&] { return troubles.back().empty(); });
  EXPECT_EQ(troubles.size(), 2U) << "one line for each change";
  put_peer(server, 1);
  run_until([&] { return update.has_value(); });
  EXPECT_EQ(key_texts(update->leases), Keys{"10.5.1.0-24"});
}

// Out of space etcd answers, and writes nothing.
TEST_F(EtcdRecovery, AReadOnlyStoreIsFollowedAndWrittenWhenItCanBe) {
  EtcdServer server(EtcdServer::Security::plain, {"--quota-backend-bytes=16777216"});
  put_peer(server, 1);
  const auto store = open(server);
  const auto watch = store->watch();
  EXPECT_EQ(next_snapshot(*watch), Keys{"10.5.1.0-24"});
  std::string full;
  for (int i = 0; i < 300 && full.empty(); ++i) {
    try {
      server.ctl({"put", "/rubbish", std::string(120'000, 'x')});
    } catch (const std::exception& error) {
      full = error.what();
    }
  }
  ASSERT_NE(full.find("database space exceeded"), std::string::npos) << full;
  const std::string refused = error_of(store->acquire(request_of("198.18.0.2")));
  EXPECT_NE(refused.find("database space exceeded"), std::string::npos) << refused;
  EXPECT_TRUE(run(store->watch()->next()).snapshot) << "it can be read";
  server.ctl({"del", "/rubbish"});
  const std::string status = server.ctl({"endpoint", "status", "-w", "fields"});
  const std::size_t at = status.find("\"Revision\" : ") + 13;
  server.ctl({"compact", status.substr(at, status.find('\n', at) - at)});
  server.ctl({"defrag"});
  server.ctl({"alarm", "disarm"});
  EXPECT_TRUE(run(store->acquire(request_of("198.18.0.2"))));
  EXPECT_EQ(next_snapshot(*watch).size(), 2U) << "what it saw last is compacted";
}

void allow(const EtcdServer& server) {
  server.ctl({"user", "add", "root:root-secret"});
  server.ctl({"user", "grant-role", "root", "root"});
  for (const char* name : {"node", "stranger"}) {
    server.ctl({"user", "add", fmt::format("{0}:{0}-secret", name)});
    server.ctl({"role", "add", name});
    const std::string prefix =
        std::string(name) == "node" ? "/coreos.com/network" : "/somewhere/else";
    server.ctl({"role", "grant-permission", name, "readwrite", prefix + "/", prefix + "0"});
    server.ctl({"user", "grant-role", name, name});
  }
  server.ctl({"auth", "enable"});
}

// A token lives for a second here; the role allows the prefix and nothing else.
TEST_F(EtcdRecovery, ATokenThatExpiredIsFetchedAnew) {
  EtcdServer server(EtcdServer::Security::plain, {"--auth-token-ttl=1"});
  allow(server);
  const EtcdOptions known = options_of(server, "node");
  const auto store = open(known);
  const auto watch = store->watch();
  EXPECT_TRUE(run(watch->next()).snapshot);
  for (int times = 0; times < 2; ++times) {
    loop.run_for(2500ms);
    loop.restart();
    const Result<Lease> lease = run(store->acquire(request_of("198.18.0.2")));
    ASSERT_TRUE(lease) << lease.error().text;
    EXPECT_EQ(run(watch->next()).leases.size(), 1U);
  }
  EXPECT_TRUE(troubles.empty() || troubles.back().empty());
}

// Its end is in whole seconds: one for two seconds is good for more than one.
TEST_F(EtcdRecovery, ATokenThatIsSignedExpiresToo) {
  const TestDirectory keys;
  const std::string key = keys.file("key"), pub = keys.file("pub");
  run_program({"openssl", "genrsa", "-out", key, "2048"});
  run_program({"openssl", "rsa", "-in", key, "-pubout", "-out", pub});
  EtcdServer server(
      EtcdServer::Security::plain,
      {fmt::format("--auth-token=jwt,pub-key={},priv-key={},sign-method=RS256,ttl=2s", pub, key)});
  allow(server);
  const EtcdOptions known = options_of(server, "node");
  const auto store = open(known);
  EXPECT_EQ(run(store->config()), std::nullopt);
  loop.run_for(2500ms);
  loop.restart();
  EXPECT_TRUE(run(store->acquire(request_of("198.18.0.2"))));
}

TEST_F(EtcdRecovery, AUserOfAnotherPrefixIsRefused) {
  EtcdServer server;
  allow(server);
  EtcdOptions stranger = options_of(server, "stranger");
  const auto store = open(stranger);
  EXPECT_EQ(error_of(store->config()), "etcdserver: permission denied");
  EXPECT_EQ(error_of(store->acquire(request_of("198.18.0.2"))), "etcdserver: permission denied");
  stranger.prefix = "/somewhere/else";
  EXPECT_EQ(run(open(stranger)->config()), std::nullopt);
}

// The password changes under a running daemon: it says so, keeps what it has, and is well again
// when the old one is back.
TEST_F(EtcdRecovery, AWatchWaitsForItsPasswordToBeTaken) {
  EtcdServer server;
  allow(server);
  const EtcdOptions known = options_of(server, "node");
  const auto store = open(known);
  const auto watch = store->watch();
  EXPECT_TRUE(run(watch->next()).snapshot);
  const auto as_root = [&](std::vector<std::string> words) {
    words.insert(words.begin(), "--user=root:root-secret");
    return server.ctl(words);
  };
  const auto change = [&](const std::string& password) {
    as_root({"user", "delete", "node"});
    as_root({"user", "add", "node:" + password});
    as_root({"user", "grant-role", "node", "node"});
  };
  change("another");
  server.stop();
  server.start();
  std::optional<LeaseUpdate> update;
  asio::co_spawn(loop, watch->next(),
                 [&](std::exception_ptr, LeaseUpdate next) { update = std::move(next); });
  run_until([&] {
    return !troubles.empty() &&
           troubles.back().find("invalid user ID or password") != std::string::npos;
  });
  EXPECT_FALSE(update);
  change("node-secret");
  as_root({"put", kSubnets + "10.5.1.0-24", R"({"PublicIP":"198.18.0.1"})"});
  run_until([&] { return update.has_value(); });
  EXPECT_EQ(key_texts(update->leases), Keys{"10.5.1.0-24"});
  asio::co_spawn(loop, watch->next(), asio::detached);
  run_until([&] { return troubles.back().empty(); });
  for (const std::string& trouble : troubles) {
    EXPECT_EQ(trouble.find("secret"), std::string::npos) << trouble;
  }
}

// Certificates are replaced on disk while the store is in use: the next connection has the new
// ones, and a file that is half written does no harm.
TEST_F(EtcdRecovery, CertificatesThatRotateAreReadAgain) {
  EtcdServer server(EtcdServer::Security::tls_client_certificates);
  EtcdOptions files{.endpoints = server.url()};
  const TestDirectory directory;
  const auto copy = [&](const std::string& from, const std::string& to) {
    std::filesystem::copy_file(server.file(from), directory.file(to),
                               std::filesystem::copy_options::overwrite_existing);
  };
  copy("client.crt", "crt");
  copy("client.key", "key");
  copy("other-ca.crt", "ca");  // does not know the server
  files.certfile = directory.file("crt");
  files.keyfile = directory.file("key");
  files.cafile = directory.file("ca");
  const auto store = open(files);
  EXPECT_NE(error_of(store->config()).find("not accepted"), std::string::npos);
  copy("ca.crt", "ca");
  EXPECT_EQ(run(store->config()), std::nullopt);
  server.renew_certificate("client");
  copy("client.crt", "crt");  // its key is to follow
  server.renew_certificate("server");
  server.stop();
  loop.run_for(50ms);
  loop.restart();
  server.start();
  EXPECT_EQ(run(store->config()), std::nullopt) << "with the files from before";
  copy("client.key", "key");
  server.stop();
  loop.run_for(50ms);
  loop.restart();
  server.start();
  EXPECT_EQ(run(store->config()), std::nullopt);
}

}  // namespace
}  // namespace flannel

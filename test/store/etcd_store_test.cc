// Taking and keeping a lease in a real etcd, and reaching it.
#include <filesystem>
#include <set>

#include "test/store/etcd_store_fixture.h"

namespace flannel {
namespace {

TEST_F(EtcdStoreTest, HasNoConfigurationUntilSomebodyWritesOne) {
  EtcdServer server;
  const auto store = open(server);
  EXPECT_EQ(store->name(), "etcd " + server.url() + " /coreos.com/network");
  EXPECT_EQ(run(store->config()), std::nullopt);
  server.ctl({"put", "/coreos.com/network/config", R"({"Network":"10.5.0.0/16"})"});
  EXPECT_EQ(run(store->config()), R"({"Network":"10.5.0.0/16"})");
}

TEST_F(EtcdStoreTest, TakesASubnetWritesWhatTheReferenceReadsAndFindsItAgain) {
  EtcdServer server;
  const auto store = open(server);
  const AcquireRequest request{.network = network(), .attrs = node("198.18.0.2")};
  const Result<Lease> lease = run(store->acquire(request));
  ASSERT_TRUE(lease) << lease.error().text;
  EXPECT_TRUE(lease->expiry);
  const std::string listed =
      server.ctl({"get", kSubnets + to_text(lease->key), "--print-value-only"});
  EXPECT_EQ(listed,
            "{\"PublicIP\":\"198.18.0.2\",\"PublicIPv6\":null,\"BackendType\":\"vxlan\"}\n");
  const Result<Lease> again = run(store->acquire(request));
  ASSERT_TRUE(again);
  EXPECT_EQ(again->key, lease->key);
  EXPECT_EQ(server.ctl({"lease", "list"}).find("found 1 leases"), 0U);
}

TEST_F(EtcdStoreTest, AReservationStaysWithoutALease) {
  EtcdServer server;
  server.ctl({"put", kSubnets + "10.5.77.0-24", R"({"PublicIP":"198.18.0.2"})"});
  const auto store = open(server);
  Result<Lease> lease = run(store->acquire({.network = network(), .attrs = node("198.18.0.2")}));
  ASSERT_TRUE(lease) << lease.error().text;
  EXPECT_EQ(to_text(lease->key), "10.5.77.0-24");
  EXPECT_EQ(lease->expiry, std::nullopt);
  lease->attrs.backend_data = R"({"VNI":1})";
  const Result<Lease> renewed = run(store->renew(*lease));
  ASSERT_TRUE(renewed) << renewed.error().text;
  EXPECT_EQ(renewed->expiry, std::nullopt);
  EXPECT_EQ(server.ctl({"lease", "list"}).find("found 0 leases"), 0U);
  EXPECT_NE(server.ctl({"get", kSubnets + "10.5.77.0-24"}).find("VNI"), std::string::npos);
}

TEST_F(EtcdStoreTest, AnOwnEntryOfAnotherConfigurationIsReplaced) {
  EtcdServer server;
  server.ctl({"put", kSubnets + "10.9.1.0-24", R"({"PublicIP":"198.18.0.2"})"});
  server.ctl({"put", kSubnets + "10.9.2.0-24", R"({"PublicIP":"198.18.0.3"})"});
  const auto store = open(server);
  const Result<Lease> lease =
      run(store->acquire({.network = network(), .attrs = node("198.18.0.2")}));
  ASSERT_TRUE(lease) << lease.error().text;
  const std::string keys = server.ctl({"get", "--prefix", "--keys-only", kSubnets});
  EXPECT_EQ(keys.find("10.9.1.0-24"), std::string::npos);
  EXPECT_NE(keys.find("10.9.2.0-24"), std::string::npos);
  EXPECT_NE(keys.find(to_text(lease->key)), std::string::npos);
}

TEST_F(EtcdStoreTest, RenewsALostLeaseWithTheSameSubnet) {
  EtcdServer server;
  const auto store = open(server);
  const Result<Lease> lease =
      run(store->acquire({.network = network(), .attrs = node("198.18.0.2")}));
  ASSERT_TRUE(lease);
  server.ctl({"del", kSubnets + to_text(lease->key)});
  const Result<Lease> renewed = run(store->renew(*lease));
  ASSERT_TRUE(renewed) << renewed.error().text;
  EXPECT_EQ(renewed->key, lease->key);
  EXPECT_TRUE(renewed->expiry);
}

TEST_F(EtcdStoreTest, DoesNotTakeASubnetFromTheNodeThatHoldsIt) {
  EtcdServer server;
  const auto store = open(server);
  server.ctl({"put", kSubnets + "10.5.60.0-24", R"({"PublicIP":"198.18.0.9"})"});
  const Result<Lease> renewed =
      run(store->renew({.key = key_of("10.5.60.0-24"), .attrs = node("198.18.0.2")}));
  ASSERT_FALSE(renewed);
  EXPECT_EQ(renewed.error().text, "10.5.60.0/24 is held by 198.18.0.9");
}

// Every node's coroutine in one loop; `subnets` receives what they got.
Task<void> join(LeaseStore* store, AcquireRequest request, std::vector<Result<Lease>>* subnets) {
  Result<Lease> lease = co_await store->acquire(std::move(request));
  subnets->push_back(std::move(lease));
}

TEST_F(EtcdStoreTest, FiftyNodesJoiningAtOnceGetDifferentSubnets) {
  EtcdServer server;
  const auto first = open(server);
  const auto second = open(server);
  std::vector<Result<Lease>> subnets;
  for (int i = 0; i < 50; ++i) {
    const AcquireRequest request{.network = network(),
                                 .attrs = node(fmt::format("198.18.0.{}", i + 1))};
    asio::co_spawn(loop, join(i % 2 == 0 ? first.get() : second.get(), request, &subnets),
                   asio::detached);
  }
  run_until([&] { return subnets.size() == 50; });
  std::set<std::string> keys;
  for (const Result<Lease>& lease : subnets) {
    ASSERT_TRUE(lease) << lease.error().text;
    keys.insert(to_text(lease->key));
  }
  EXPECT_EQ(keys.size(), 50U);
  // However many tries it took: a lease a store.
  EXPECT_EQ(server.ctl({"lease", "list"}).find("found 2 leases"), 0U);
}

TEST_F(EtcdStoreTest, TheLastFreeSubnetGoesToOneOfTwo) {
  EtcdServer server;
  const auto store = open(server);
  const NetworkConfig tiny = network(R"({"Network": "10.5.0.0/16",
    "SubnetMin": "10.5.1.0", "SubnetMax": "10.5.1.0"})");
  std::vector<Result<Lease>> subnets;
  for (const char* ip : {"198.18.0.1", "198.18.0.2"}) {
    const AcquireRequest request{.network = tiny, .attrs = node(ip)};
    asio::co_spawn(loop, join(store.get(), request, &subnets), asio::detached);
  }
  run_until([&] { return subnets.size() == 2; });
  EXPECT_NE(subnets[0].has_value(), subnets[1].has_value());
  EXPECT_EQ((subnets[0] ? subnets[1] : subnets[0]).error().text, "out of subnets");
}

TEST_F(EtcdStoreTest, GoesOnToTheEndpointThatAnswers) {
  EtcdServer server;
  const auto store = open(EtcdOptions{.endpoints = "http://127.0.0.1:1," + server.url()});
  EXPECT_EQ(run(store->config()), std::nullopt);
}

TEST_F(EtcdStoreTest, NamesTheEndpointThatDoesNot) {
  const auto store = open(EtcdOptions{.endpoints = {"http://127.0.0.1:1"}});
  EXPECT_EQ(error_of(store->config()), "connect to 127.0.0.1:1: Connection refused");
}

TEST_F(EtcdStoreTest, SpeaksTlsWithAClientCertificate) {
  EtcdServer server(EtcdServer::Security::tls_client_certificates);
  EtcdOptions options{.endpoints = server.url(),
                      .keyfile = server.file("client.key"),
                      .certfile = server.file("client.crt"),
                      .cafile = server.file("ca.crt")};
  EXPECT_EQ(run(open(options)->config()), std::nullopt);
  options.endpoints = server.url().substr(std::string("https://").size());
  EXPECT_EQ(run(open(options)->config()), std::nullopt) << "without a scheme";
}

TEST_F(EtcdStoreTest, SaysWhyACertificateIsNotAccepted) {
  EtcdServer server(EtcdServer::Security::tls_client_certificates);
  EtcdOptions options{.endpoints = server.url(),
                      .keyfile = server.file("client.key"),
                      .certfile = server.file("client.crt"),
                      .cafile = server.file("other-ca.crt")};
  const std::string text = error_of(open(options)->config());
  EXPECT_NE(text.find("certificate of 127.0.0.1 not accepted: "), std::string::npos) << text;
  options.cafile = server.file("ca.crt");
  options.endpoints = "https://localhost" + server.url().substr(server.url().rfind(':'));
  const std::string wrong_name = error_of(open(options)->config());
  EXPECT_NE(wrong_name.find("certificate of localhost not accepted: "), std::string::npos)
      << wrong_name;
}

TEST_F(EtcdStoreTest, NamesAFileItCannotRead) {
  EtcdOptions options{.keyfile = "/nonexistent/key", .certfile = "/nonexistent/cert"};
  const std::string missing = make_etcd_store(loop.get_executor(), options).error().text;
  EXPECT_TRUE(missing.starts_with("open /nonexistent/cert: ")) << missing;
  const TestDirectory directory;
  const std::string junk = directory.file("junk.pem");
  std::filesystem::copy_file("/proc/self/cmdline", junk);
  options = {.keyfile = junk, .certfile = junk};
  const Result<std::unique_ptr<LeaseStore>> store = make_etcd_store(loop.get_executor(), options);
  ASSERT_FALSE(store);
  EXPECT_TRUE(store.error().text.starts_with(junk + ": ")) << store.error().text;
}

void enable_auth(const EtcdServer& server) {
  server.ctl({"user", "add", "root:root-secret"});
  server.ctl({"user", "add", "node:node-secret"});
  server.ctl({"role", "add", "flannel"});
  server.ctl({"role", "grant-permission", "flannel", "readwrite", "/coreos.com/network/",
              "/coreos.com/network0"});
  server.ctl({"user", "grant-role", "node", "flannel"});
  server.ctl({"user", "grant-role", "root", "root"});
  server.ctl({"auth", "enable"});
}

TEST_F(EtcdStoreTest, LogsInAndAgainAfterTheTokenIsGone) {
  EtcdServer server;
  EtcdOptions options{.endpoints = server.url(), .username = "node", .password = "node-secret"};
  const auto store = open(options);
  EXPECT_EQ(run(store->config()), std::nullopt) << "with authentication turned off";
  enable_auth(server);
  const auto watch = store->watch();
  EXPECT_TRUE(run(watch->next()).snapshot);
  const Result<Lease> lease =
      run(store->acquire({.network = network(), .attrs = node("198.18.0.2")}));
  ASSERT_TRUE(lease);
  EXPECT_EQ(run(watch->next()).leases.size(), 1U);
  server.stop();  // and with it its tokens
  loop.poll();    // the connection's end is noticed
  server.start();
  EXPECT_TRUE(run(store->renew(*lease)));
  EXPECT_EQ(run(watch->next()).leases.size(), 1U);
}

TEST_F(EtcdStoreTest, AWrongPasswordIsAnErrorOfItsOwn) {
  EtcdServer server;
  enable_auth(server);
  const auto store =
      open(EtcdOptions{.endpoints = server.url(), .username = "node", .password = "wrong"});
  try {
    run(store->config());
    FAIL() << "logged in";
  } catch (const StoreRefused& error) {
    EXPECT_STREQ(error.what(), "etcdserver: authentication failed, invalid user ID or password");
  }
  const auto nobody = open(server);
  EXPECT_EQ(error_of(nobody->config()), "etcdserver: user name is empty");
}

}  // namespace
}  // namespace flannel

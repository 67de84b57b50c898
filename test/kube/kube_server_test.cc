// The lease store in the Nodes of Kubernetes, with a real API server: as a pod of flannel's
// DaemonSet gets at it, with the rights of its manifest.
#include <map>

#include "base/file.h"
#include "kube/kube_access.h"
#include "kube/kube_store.h"
#include "store/store_fixture.h"
#include "test/kube/api_server.h"

namespace flannel {
namespace {

const std::string kPrefix = "flannel.alpha.coreos.com/";
const std::string kConfig = R"({"Network":"10.244.0.0/16","Backend":{"Type":"vxlan"}})";
const std::string kDual =
    R"({"Network":"10.244.0.0/16","EnableIPv6":true,"IPv6Network":"fd00:10:244::/56"})";
// What the manifest grants; a test takes some of it away.
const std::string kGet = R"({"apiGroups":[""],"resources":["nodes"],"verbs":["get"]})";
const std::string kList = R"({"apiGroups":[""],"resources":["nodes"],"verbs":["list"]})";
const std::string kWatch = R"({"apiGroups":[""],"resources":["nodes"],"verbs":["watch"]})";
const std::string kPatch = R"({"apiGroups":[""],"resources":["nodes/status"],"verbs":["patch"]})";
const std::string kPods = R"({"apiGroups":[""],"resources":["pods"],"verbs":["get"]})";

std::string vtep(unsigned number) {
  return fmt::format(R"({{"VNI":1,"VtepMAC":"02:00:5e:10:00:{:02x}"}})", number);
}

std::string joined(const std::vector<std::string>& rules) {
  return fmt::format("[{}]", fmt::join(rules, ","));
}

class KubeServerTest : public StoreFixture {
 protected:
  static void SetUpTestSuite() {
    if (!ApiServer::program().empty() && EtcdServer::installed()) {
      server_ = std::make_unique<ApiServer>();
    }
  }
  static void TearDownTestSuite() { server_.reset(); }

  void SetUp() override {
    API_SERVER_OR_SKIP();
    server_->request("DELETE", "/api/v1/nodes");
    server_->set_rules(joined({kGet, kList, kWatch, kPatch, kPods}), "patch nodes/status", true);
    write("token", server_->service_account_token());
    write("ca.crt", read_file(server_->file("ca.crt")).value());
    write("net-conf.json", kConfig);
    store = open("own");
  }

  void write(const std::string& name, const std::string& text) const {
    ASSERT_TRUE(replace_file(directory.file(name), text, 0644));
  }

  std::unique_ptr<LeaseStore> open(const std::string& node) {
    return open(node, {.service_host = "127.0.0.1",
                       .service_port = std::to_string(server_->port()),
                       .service_account_folder = directory.path()});
  }
  std::unique_ptr<LeaseStore> open(const std::string& node, const KubeOptions& options) {
    Result<std::unique_ptr<ApiAccess>> access = make_api_access(options);
    EXPECT_TRUE(access) << access.error().text;
    return make_kube_store(std::make_unique<ApiClient>(loop.get_executor(), std::move(*access)),
                           {.net_config_path = directory.file("net-conf.json"), .node_name = node},
                           [this](const std::string& text) { trouble = text; });
  }

  // A node that runs flannel.
  static void put_peer(const std::string& name, unsigned number) {
    server_->create_node(name, {fmt::format("10.244.{}.0/24", number)},
                         {{kPrefix + "backend-data", vtep(number)},
                          {kPrefix + "backend-type", "vxlan"},
                          {kPrefix + "kube-subnet-manager", "true"},
                          {kPrefix + "public-ip", fmt::format("198.18.0.{}", number)}});
  }

  AcquireRequest request(const std::string& config = kConfig) const {
    LeaseAttrs attrs = flannel::node("198.18.0.1");
    attrs.backend_data = vtep(1);
    if (config == kDual) {
      attrs.public_ipv6 = *IpAddr::parse("fd00:198:18::1");
      attrs.backend_v6_data = vtep(2);
    }
    return {.network = store->parse_config(config).value(), .attrs = attrs, .previous = {}};
  }

  void TearDown() override {
    stop_.emit(asio::cancellation_type::terminal);
    run_until([&] { return !waiting_; });
  }

  // Follows the watch until `done`, for what it says and for what troubles it.
  template <class Done>
  void follow(Done done) {
    if (!watch) {
      watch = store->watch();
    }
    while (!done()) {
      if (!waiting_) {
        waiting_ = true;
        asio::co_spawn(
            loop, watch->next(),
            asio::bind_cancellation_slot(
                stop_.slot(), [this](const std::exception_ptr& error, LeaseUpdate update) {
                  waiting_ = false;
                  if (!error) {
                    take(update);
                  }
                }));
      }
      run_until([&] { return !waiting_ || done(); });
    }
  }
  void follow_to(const std::set<std::string>& keys) {
    follow([&] { return this->keys() == keys; });
    EXPECT_EQ(this->keys(), keys);
  }
  std::set<std::string> keys() const {
    std::set<std::string> out;
    for (const auto& [key, lease] : leases) {
      out.insert(key);
    }
    return out;
  }

  TestDirectory directory;
  std::unique_ptr<LeaseStore> store;
  std::unique_ptr<LeaseWatch> watch;
  std::map<std::string, Lease> leases;  // by key
  unsigned snapshots = 0;
  std::optional<OwnEntry> own;  // what was said of it last
  std::string trouble;          // of the watch
  static std::unique_ptr<ApiServer> server_;

 private:
  void take(const LeaseUpdate& update) {
    if (update.snapshot) {
      leases.clear();
      ++snapshots;
    }
    for (const LeaseKey& key : update.removed) {
      leases.erase(to_text(key));
    }
    for (const Lease& lease : update.leases) {
      leases[to_text(lease.key)] = lease;
    }
    own = update.own ? update.own : own;
  }

  asio::cancellation_signal stop_;
  bool waiting_ = false;
};
std::unique_ptr<ApiServer> KubeServerTest::server_;

TEST_F(KubeServerTest, NodesComeChangeAndGo) {
  server_->create_node("none", {"10.244.9.0/24"});  // flannel does not run there
  put_peer("a", 11);
  follow_to({"10.244.11.0-24"});
  EXPECT_EQ(leases.at("10.244.11.0-24").attrs.backend_data, vtep(11));
  put_peer("b", 12);
  server_->heartbeat("a");
  follow_to({"10.244.11.0-24", "10.244.12.0-24"});
  server_->delete_node("a");
  follow_to({"10.244.12.0-24"});
  EXPECT_EQ(snapshots, 1U);
}

TEST_F(KubeServerTest, EveryAnnotationThatIsChangedCounts) {
  put_peer("a", 11);
  const std::string key = "10.244.11.0-24";
  follow_to({key});
  server_->annotate("a", kPrefix + "backend-data", vtep(99));
  follow([&] { return leases.at(key).attrs.backend_data == vtep(99); });
  server_->annotate("a", kPrefix + "public-ip", "198.18.0.99");
  follow([&] { return leases.at(key).attrs.public_ip == *IpAddr::parse("198.18.0.99"); });
  server_->annotate("a", kPrefix + "backend-type", "host-gw");
  follow([&] { return leases.at(key).attrs.backend_type == "host-gw"; });
  server_->annotate("a", kPrefix + "public-ipv6", "fd00:198:18::99");
  follow([&] { return leases.at(key).attrs.public_ipv6.has_value(); });
  server_->annotate("a", kPrefix + "backend-v6-data", vtep(98));
  follow([&] { return leases.at(key).attrs.backend_v6_data == vtep(98); });
  server_->annotate("a", kPrefix + "kube-subnet-manager", std::nullopt);
  follow_to({});
  server_->annotate("a", kPrefix + "kube-subnet-manager", "true");
  follow_to({key});
}

TEST_F(KubeServerTest, APodCidrMayComeLateAndANodeBeMadeAgainWithAnother) {
  server_->create_node("a", {},
                       {{kPrefix + "backend-type", "vxlan"},
                        {kPrefix + "kube-subnet-manager", "true"},
                        {kPrefix + "public-ip", "198.18.0.11"}});
  put_peer("b", 12);
  follow_to({"10.244.12.0-24"});
  server_->request("PATCH", "/api/v1/nodes/a",
                   R"({"spec":{"podCIDR":"10.244.11.0/24","podCIDRs":["10.244.11.0/24"]}})",
                   "application/merge-patch+json");
  follow_to({"10.244.11.0-24", "10.244.12.0-24"});
  server_->delete_node("a");
  put_peer("a", 13);
  follow_to({"10.244.12.0-24", "10.244.13.0-24"});
}

TEST_F(KubeServerTest, PublishesOurLeaseAndNothingThatIsThereAlready) {
  server_->create_node("own", {"10.244.1.0/24", "fd00:10:244:1::/64"});
  EXPECT_EQ(run(store->config()), kConfig);
  for (int i = 0; i < 2; ++i) {
    const Result<Lease> lease = run(store->acquire(request(kDual)));
    ASSERT_TRUE(lease) << lease.error().text;
    EXPECT_EQ(to_text(lease->key), "10.244.1.0-24&fd00:10:244:1::-64");
  }
  EXPECT_EQ(server_->annotation("own", kPrefix + "public-ip"), "198.18.0.1");
  EXPECT_EQ(server_->annotation("own", kPrefix + "public-ipv6"), "fd00:198:18::1");
  EXPECT_EQ(server_->annotation("own", kPrefix + "backend-data"), vtep(1));
  EXPECT_EQ(server_->annotation("own", kPrefix + "backend-v6-data"), vtep(2));
  EXPECT_EQ(server_->annotation("own", kPrefix + "kube-subnet-manager"), "true");
  const auto version = [] {
    const std::string node = server_->request("GET", "/api/v1/nodes/own");
    return node.substr(node.find("resourceVersion"), 40);
  };
  const std::string before = version();
  store = open("own");
  ASSERT_TRUE(run(store->facts()));
  ASSERT_TRUE(run(store->acquire(request(kDual))));
  EXPECT_EQ(version(), before);
  ASSERT_TRUE(run(store->on_ready()));
  const std::string ready = server_->request("GET", "/api/v1/nodes/own");
  EXPECT_TRUE(ready.contains("FlannelIsUp")) << ready;
}

TEST_F(KubeServerTest, WhatOthersDoToOurNodeIsToldAndMended) {
  server_->create_node("own", {"10.244.1.0/24"});
  const Lease lease = run(store->acquire(request())).value();
  follow([&] { return own == OwnEntry(); });
  server_->annotate("own", kPrefix + "public-ip", "198.18.7.7");
  follow([&] { return own->state != OwnEntry::State::as_written; });
  ASSERT_TRUE(run(store->renew(lease)));
  EXPECT_EQ(server_->annotation("own", kPrefix + "public-ip"), "198.18.0.1");
  server_->delete_node("own");
  follow([&] { return own->state == OwnEntry::State::gone; });
  server_->create_node("own", {"10.244.1.0/24"});
  ASSERT_TRUE(run(store->renew(lease)));
  EXPECT_EQ(server_->annotation("own", kPrefix + "backend-data"), vtep(1));
}

// Which right is missing of what; and all goes on by itself when it is there.
TEST_F(KubeServerTest, EachRightThatIsMissingIsNamed) {
  server_->create_node("own", {"10.244.1.0/24"});
  put_peer("a", 11);
  server_->set_rules(joined({kGet, kList, kWatch}), "patch nodes/status", false);
  const std::string patch = error_of(store->acquire(request()));
  EXPECT_TRUE(patch.contains("may not patch nodes/status")) << patch;
  server_->set_rules(joined({kGet, kWatch, kPatch}), "list nodes", false);
  follow([&] { return trouble.contains("may not list nodes"); });
  server_->set_rules(joined({kGet, kList, kPatch}), "watch nodes", false);
  follow_to({"10.244.11.0-24"});
  put_peer("b", 12);
  follow([&] { return trouble.contains("may not watch nodes"); });
  server_->set_rules(joined({kGet, kList, kWatch, kPatch}), "watch nodes", true);
  follow_to({"10.244.11.0-24", "10.244.12.0-24"});
  follow([&] { return trouble.empty(); });
  // Some distributions grant list and watch alone.
  server_->set_rules(joined({kList, kWatch, kPatch}), "get nodes", false);
  store = open("own");
  ASSERT_TRUE(run(store->acquire(request())));
}

TEST_F(KubeServerTest, AKubeletsAccountMayNotListNodesAndIsNamed) {
  server_->create_node("n1", {"10.244.1.0/24"});
  write("token", "node-token");
  store = open("n1");
  follow([&] { return trouble.contains("system:node:n1") && trouble.contains("1.32"); });
}

TEST_F(KubeServerTest, ATokenThatIsReplacedIsReadAgain) {
  server_->create_node("own", {"10.244.1.0/24"});
  ASSERT_TRUE(run(store->acquire(request())));
  server_->revoke_service_account_tokens();
  write("token", server_->service_account_token());
  server_->annotate("own", kPrefix + "public-ip", "198.18.7.7");
  const Result<Lease> lease = run(store->acquire(request()));
  ASSERT_TRUE(lease) << lease.error().text;
  EXPECT_EQ(server_->annotation("own", kPrefix + "public-ip"), "198.18.0.1");
}

// What the server's history does not go back to is listed: it has forgotten what was deleted.
TEST_F(KubeServerTest, GoesOnAfterTheServerWasKilledAndWhatItMissedIsThere) {
  put_peer("a", 11);
  put_peer("b", 12);
  follow_to({"10.244.11.0-24", "10.244.12.0-24"});
  server_->stop();
  follow([&] { return !trouble.empty(); });
  server_->start();
  server_->delete_node("a");
  put_peer("c", 13);
  follow_to({"10.244.12.0-24", "10.244.13.0-24"});
  follow([&] { return trouble.empty(); });
}

TEST_F(KubeServerTest, AHistoryThatIsGoneIsAnsweredByAList) {
  put_peer("a", 11);
  put_peer("b", 12);
  follow_to({"10.244.11.0-24", "10.244.12.0-24"});
  const ApiServer other({}, server_->etcd());
  server_->stop();
  other.delete_node("a");
  for (int i = 0; i < 20; ++i) {
    other.heartbeat("b");
  }
  const std::string status = server_->etcd()->ctl({"endpoint", "status", "-w", "fields"});
  const std::size_t at = status.find("\"Revision\" : ");
  server_->etcd()->ctl({"compact", std::to_string(std::stoul(status.substr(at + 13)))});
  server_->start();
  follow_to({"10.244.12.0-24"});
  EXPECT_GE(snapshots, 2U);
}

TEST_F(KubeServerTest, AServerThatHangsLosesNothing) {
  server_->create_node("own", {"10.244.1.0/24"});
  put_peer("a", 11);
  follow_to({"10.244.11.0-24"});
  server_->pause();
  flannel::run_until(loop, [] { return false; }, 2s);
  server_->go_on();
  put_peer("b", 12);
  follow_to({"10.244.11.0-24", "10.244.12.0-24"});
  ASSERT_TRUE(run(store->acquire(request())));
}

}  // namespace
}  // namespace flannel

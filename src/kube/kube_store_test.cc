#include "kube/kube_store.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <filesystem>

#include "base/directory_fixture.h"
#include "base/file.h"
#include "kube/node_objects_fixture.h"
#include "store/store_fixture.h"
#include "test/support/fake_kube_api.h"

namespace flannel {
namespace {

using Request = FakeKubeApi::Request;

const std::string kConfig = R"({"Network":"10.244.0.0/16","Backend":{"Type":"vxlan"}})";

class KubeStoreTest : public StoreFixture {
 protected:
  KubeStoreTest() {
    EXPECT_TRUE(replace_file(directory.file("net-conf.json"), kConfig, 0644));
    api.put({.name = "own", .pod_cidrs = {"10.244.1.0/24"}});
  }

  std::unique_ptr<LeaseStore> open() {
    return make_kube_store(api.client(loop.get_executor()),
                           {.net_config_path = directory.file("net-conf.json"),
                            .set_node_network_unavailable = set_condition,
                            .node_name = "own"},
                           [this](const std::string& trouble) { troubles.push_back(trouble); });
  }
  static LeaseAttrs attrs() {
    LeaseAttrs attrs = node("198.18.0.11");
    attrs.backend_data = R"({"VNI":1,"VtepMAC":"02:00:5e:10:00:01"})";
    return attrs;
  }
  AcquireRequest request(const std::string& config = kConfig) const {
    return {.network = store->parse_config(config).value(), .attrs = attrs(), .previous = {}};
  }
  Lease acquire() { return run(store->acquire(request())).value(); }
  std::string refusal(const std::string& config = kConfig) {
    return run(store->acquire(request(config))).error().text;
  }
  void set_own(const std::function<void(NodeObject&)>& change) {
    NodeObject node = api.node("own");
    change(node);
    api.put(node);
  }
  // The first that comes from now on.
  std::string next_request() {
    api.take_requests();
    std::vector<std::string> requests;
    run_until([&] { return !requests.empty() || !(requests = api.take_requests()).empty(); });
    return requests.front();
  }
  std::vector<std::string> patches() {
    std::vector<std::string> requests = api.take_requests();
    std::erase_if(requests, [](const std::string& each) { return !each.starts_with("PATCH"); });
    return requests;
  }

  TestDirectory directory;
  FakeKubeApi api{loop};
  bool set_condition = true;
  std::vector<std::string> troubles;  // of its watches
  std::unique_ptr<LeaseStore> store = open();
};

TEST_F(KubeStoreTest, ANetConfThatCannotBeReadAnyMoreIsSaid) {
  const std::string path = directory.file("net-conf.json");
  std::filesystem::remove(path);
  const Result<std::string> next = run(store->next_config(kConfig));
  ASSERT_FALSE(next);
  EXPECT_TRUE(next.error().text.starts_with("failed to read net conf: ")) << next.error().text;
  EXPECT_TRUE(replace_file(path, kConfig, 0644));
  EXPECT_EQ(run(store->next_config(std::nullopt)), kConfig);
}

TEST_F(KubeStoreTest, StartsWithFiveCallsAndThreeTheNextTime) {
  for (const unsigned calls : {5U, 3U}) {
    store = open();
    EXPECT_EQ(run(store->config()), kConfig);
    ASSERT_TRUE(run(store->facts()));
    EXPECT_EQ(acquire().key, key_of("10.244.1.0-24"));
    const std::unique_ptr<LeaseWatch> watch = store->watch();
    EXPECT_EQ(run(watch->next()).own, OwnEntry());
    EXPECT_EQ(run(watch->next(std::chrono::steady_clock::now() + 20ms)), std::nullopt);
    EXPECT_TRUE(run(store->on_ready()));
    EXPECT_EQ(api.take_requests().size(), calls);
  }
  EXPECT_EQ(api.node("own").annotations, annotations_of("198.18.0.11", "02:00:5e:10:00:01"));
  EXPECT_EQ(api.node("own").network_unavailable, "False");
  EXPECT_EQ(api.connections(), 2U);
}

// Each kind of request once: its answer is the second one's, and nobody is told.
TEST_F(KubeStoreTest, WhatIsToBeAskedLaterIsAskedLater) {
  for (const char* kind : {"GET /api/v1/nodes/own", "PATCH /api/v1/nodes/own/status",
                           "GET /api/v1/nodes?resource", "GET /api/v1/nodes?watch"}) {
    store = open();
    set_own([](NodeObject& node) { node.annotations.clear(); });
    int asked = 0;
    api.instead = [&](const Request& request) -> std::optional<FakeKubeApi::Reply> {
      const std::string text = fmt::format("{} {}", request.method(), request.path());
      if (!text.starts_with(kind) || ++asked > 1) {
        return std::nullopt;
      }
      FakeKubeApi::Reply reply = FakeKubeApi::status(429, "TooManyRequests", "wait");
      reply.headers.push_back({"retry-after", "1"});
      return reply;
    };
    EXPECT_EQ(run(store->config()), kConfig);
    acquire();
    const std::unique_ptr<LeaseWatch> watch = store->watch();
    EXPECT_TRUE(run(watch->next()).snapshot);
    api.put({.name = "n2",
             .pod_cidrs = {"10.244.2.0/24"},
             .annotations = annotations_of("198.18.0.12", "02:00:5e:10:00:02")});
    EXPECT_EQ(run(watch->next()).leases.size(), 1U) << kind;
    EXPECT_EQ(asked, 2) << kind;
    EXPECT_TRUE(troubles.empty()) << troubles.front();
    api.remove("n2");
  }
}

TEST_F(KubeStoreTest, TheConfigurationIsAFileAndTheApiHasToBeThere) {
  api.instead = [](const Request&) { return FakeKubeApi::status(403, "Forbidden", "no"); };
  EXPECT_EQ(error_of(store->config()), "GET /api/v1/nodes: HTTP status 403, Forbidden: no");
  api.instead = {};
  api.take_requests();
  EXPECT_EQ(run(store->config()), kConfig);
  EXPECT_EQ(api.take_requests(), std::vector<std::string>{"GET /api/v1/nodes/own"})
      << "nothing was to be had, so that it was not about the right to get";
  store = make_kube_store(api.client(loop.get_executor()), {.net_config_path = "/nowhere"});
  EXPECT_TRUE(error_of(store->config()).starts_with("failed to read net conf: open /nowhere: "));
}

TEST_F(KubeStoreTest, FactsAreTheNodesAnnotations) {
  set_own([](NodeObject& node) {
    node.annotations = annotations_of("198.18.0.11", "02:00:5e:10:00:09");
    node.annotations["node-public-ip"] = "203.0.113.7";
  });
  const NodeFacts facts = run(store->facts()).value();
  EXPECT_EQ(facts.public_ip, *IpAddr::parse("203.0.113.7"));
  EXPECT_TRUE(facts.published->backend_data.contains("02:00:5e:10:00:09"));
  set_own([](NodeObject& node) { node.annotations["node-public-ip"] = "here"; });
  run(store->config());
  EXPECT_FALSE(run(store->facts()));
  api.remove("own");
  run(store->config());
  EXPECT_EQ(run(store->facts()).error().text, "there is no Node \"own\" (yet)");
}

TEST_F(KubeStoreTest, WaitsForAPodCidrThatFits) {
  set_own([](NodeObject& node) { node.pod_cidrs.clear(); });
  EXPECT_EQ(refusal(), "node \"own\" pod cidr not assigned");
  set_own([](NodeObject& node) { node.pod_cidrs = {"10.99.1.0/24"}; });
  EXPECT_EQ(refusal(),
            "subnet \"10.244.0.0/16\" specified in the flannel net config doesn't contain "
            "\"10.99.1.0/24\" PodCIDR of the \"own\" node");
  EXPECT_TRUE(patches().empty()) << "peers are not told of what they cannot use";
  set_own([](NodeObject& node) { node.pod_cidrs = {"10.244.7.0/24", "fc00::/64"}; });
  EXPECT_EQ(acquire().key, key_of("10.244.7.0-24")) << "IPv6 is not enabled";
  const std::string dual =
      R"({"Network":"10.244.0.0/16","EnableIPv6":true,"IPv6Network":"fc00::/48"})";
  EXPECT_EQ(to_text(run(store->acquire(request(dual)))->key), "10.244.7.0-24&fc00::-64");
  set_own([](NodeObject& node) { node.pod_cidrs = {"10.244.7.0/24"}; });
  EXPECT_EQ(refusal(dual), "IPv6 is enabled but node \"own\" has no IPv6 podCIDR");
}

// What happens to it is heard, and nothing asked for meanwhile.
TEST_F(KubeStoreTest, ANodeThatIsOfNoUseIsWatchedUntilItIs) {
  const std::string watch =
      "GET /api/v1/nodes?watch=true&allowWatchBookmarks=true&resourceVersion=0&"
      "fieldSelector=metadata.name%3Down";
  std::optional<Result<Lease>> lease;
  const auto begin = [&] {
    lease.reset();
    asio::co_spawn(loop, store->acquire(request()),
                   [&](const std::exception_ptr&, Result<Lease> got) { lease = std::move(got); });
  };
  api.remove("own");
  EXPECT_EQ(refusal(), "there is no Node \"own\" (yet)");
  EXPECT_EQ(api.take_requests(), std::vector<std::string>{"GET /api/v1/nodes/own"});
  begin();
  EXPECT_EQ(next_request(), watch);
  loop.run_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(lease);
  api.put({.name = "another", .pod_cidrs = {"10.244.9.0/24"}});
  api.put({.name = "own"});
  run_until([&] { return lease.has_value(); });
  EXPECT_EQ(lease->error().text, "node \"own\" pod cidr not assigned");
  begin();
  set_own([](NodeObject& node) { node.annotations["unrelated"] = "x"; });
  set_own([](NodeObject& node) { node.pod_cidrs = {"10.244.1.0/24"}; });
  run_until([&] { return lease.has_value(); });
  while (!*lease) {  // they came one by one
    begin();
    run_until([&] { return lease.has_value(); });
  }
  EXPECT_EQ((*lease)->key, key_of("10.244.1.0-24"));
  EXPECT_EQ(api.take_requests(), std::vector<std::string>{"PATCH /api/v1/nodes/own/status"});
}

TEST_F(KubeStoreTest, AWatchOfANodeThatIsOfNoUseMayEnd) {
  set_own([](NodeObject& node) { node.pod_cidrs.clear(); });
  refusal();
  const auto next = [&](const std::function<void()>& happens) {
    std::optional<std::string> text;
    asio::co_spawn(loop, store->acquire(request()),
                   [&](const std::exception_ptr&, const Result<Lease>& lease) {
                     text = lease ? to_text(lease->key) : lease.error().text;
                   });
    next_request();
    happens();
    run_until([&] { return text.has_value(); });
    return text.value_or("");
  };
  EXPECT_EQ(next([&] { api.end_watches(); }), "node \"own\" pod cidr not assigned");
  EXPECT_EQ(next([&] { api.error(410, "Expired"); }), "node \"own\" pod cidr not assigned");
  EXPECT_EQ(next([&] { api.remove("own"); }), "there is no Node \"own\" (yet)");
  api.put({.name = "own", .pod_cidrs = {"10.244.3.0/24"}});
  EXPECT_EQ(acquire().key, key_of("10.244.3.0-24"));
}

// What fails is tried again at once: nothing but luck would change such a Node within the minute
// that one of no use is waited for.
TEST_F(KubeStoreTest, ANodeThatCouldNotBeWrittenIsNotOneOfNoUse) {
  set_own([](NodeObject& node) { node.pod_cidrs.clear(); });
  refusal();
  std::optional<std::exception_ptr> ended;
  asio::co_spawn(loop, store->acquire(request()),
                 [&](const std::exception_ptr& error, const Result<Lease>&) { ended = error; });
  next_request();
  int patches = 0;
  api.instead = [&](const Request& request) -> std::optional<FakeKubeApi::Reply> {
    return request.method() == "PATCH" && patches++ == 0
               ? std::optional(FakeKubeApi::status(500, "InternalError"))
               : std::nullopt;
  };
  set_own([](NodeObject& node) { node.pod_cidrs = {"10.244.1.0/24"}; });
  run_until([&] { return ended.has_value(); });
  EXPECT_TRUE(*ended) << "it is not written";
  EXPECT_EQ(acquire().key, key_of("10.244.1.0-24"));
}

// As where the daemon goes on from its last known state: its lease is written, and the
// configuration read again, while it is waited for facts that make sense.
TEST_F(KubeStoreTest, WhoWaitsForItsNodeKeepsNobodyElseWaiting) {
  const Lease lease = acquire();
  set_own([](NodeObject& node) { node.annotations = {{"node-public-ip", "here"}}; });
  int ended = 0;
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(run(store->config()), kConfig);
    EXPECT_FALSE(run(store->facts()));
    asio::co_spawn(loop, store->facts(),
                   [&](const std::exception_ptr&, const Result<NodeFacts>&) { ++ended; });
    next_request();
  }
  EXPECT_TRUE(run(store->renew(lease)));
  run_until([&] { return ended == 2; });
}

// A ConfigMap is what can be mended there: the podCIDR of a Node never changes.
TEST_F(KubeStoreTest, WhereTheNetworkIsOfNoUseAnotherOneIsNoticed) {
  set_own([](NodeObject& node) { node.pod_cidrs = {"10.99.1.0/24"}; });
  run(store->config());
  EXPECT_TRUE(refusal().contains("doesn't contain"));
  const std::string other = R"({"Network":"10.99.0.0/16"})";
  EXPECT_TRUE(replace_file(directory.file("net-conf.json"), other, 0644));
  EXPECT_THROW(run(store->acquire(request())), ConfigChanged);
  EXPECT_EQ(run(store->config()), other);
  EXPECT_EQ(run(store->acquire(request(other))).value().key, key_of("10.99.1.0-24"));
}

TEST_F(KubeStoreTest, AnnotationsOfNoUseAreReadAgain) {
  set_own([](NodeObject& node) { node.annotations["node-public-ip"] = "here"; });
  EXPECT_FALSE(run(store->facts()));
  set_own([](NodeObject& node) { node.annotations["node-public-ip"] = "203.0.113.7"; });
  EXPECT_EQ(run(store->facts())->public_ip, *IpAddr::parse("203.0.113.7"));
}

TEST_F(KubeStoreTest, AnOverwriteIsPublishedAndTheLeaseKeepsItsAddress) {
  set_own([](NodeObject& node) { node.annotations["public-ip-overwrite"] = "203.0.113.7"; });
  EXPECT_EQ(acquire().attrs, attrs());
  EXPECT_EQ(api.node("own").annotations.at("public-ip"), "203.0.113.7");
  set_own([](NodeObject& node) { node.annotations["public-ip-overwrite"] = "x"; });
  EXPECT_EQ(refusal(), "annotation public-ip-overwrite \"x\": not an IPv4 address");
}

TEST_F(KubeStoreTest, WhatOthersAlteredIsWrittenAgainAndNothingElse) {
  const Lease lease = acquire();
  patches();
  EXPECT_TRUE(run(store->renew(lease)));
  EXPECT_TRUE(patches().empty());
  std::string body;
  api.instead = [&](const Request& request) -> std::optional<FakeKubeApi::Reply> {
    body = request.method() == "PATCH" ? request.body : body;
    return std::nullopt;
  };
  set_own([](NodeObject& node) { node.annotations["public-ip"] = "198.18.7.7"; });
  EXPECT_EQ(run(store->renew(lease)).value().expiry, std::nullopt);
  EXPECT_EQ(body,
            R"({"metadata":{"annotations":{"flannel.alpha.coreos.com/public-ip":"198.18.0.11"}}})");
}

TEST_F(KubeStoreTest, AConflictIsTriedAgain) {
  int conflicts = 2;
  api.instead = [&](const Request& request) -> std::optional<FakeKubeApi::Reply> {
    if (request.method() == "PATCH" && conflicts-- > 0) {
      return FakeKubeApi::status(409, "Conflict");
    }
    return std::nullopt;
  };
  acquire();
  EXPECT_EQ(patches().size(), 3U);
  conflicts = 1'000;
  set_own([](NodeObject& node) { node.annotations.clear(); });
  EXPECT_EQ(error_of(store->acquire(request())),
            "the annotations of node \"own\" do not stay as they are written");
}

TEST_F(KubeStoreTest, ANodeThatIsGoneIsWaitedForAndOneWithAnotherPodCidrIsAnother) {
  const Lease lease = acquire();
  api.remove("own");
  EXPECT_EQ(error_of(store->renew(lease)), "there is no Node \"own\" (yet)");
  api.put({.name = "own", .uid = "again"});
  EXPECT_EQ(error_of(store->renew(lease)), "node \"own\" pod cidr not assigned");
  set_own([](NodeObject& node) { node.pod_cidrs = {"10.244.1.0/24"}; });
  EXPECT_TRUE(run(store->renew(lease)));
  EXPECT_EQ(api.node("own").annotations, annotations_of("198.18.0.11", "02:00:5e:10:00:01"));
  set_own([](NodeObject& node) { node.pod_cidrs = {"10.244.2.0/24"}; });
  EXPECT_EQ(run(store->renew(lease)).error().text,
            "the podCIDR of node \"own\" is 10.244.2.0/24 now, and was 10.244.1.0/24");
}

TEST_F(KubeStoreTest, TheConditionIsAskedForUntilItIsThere) {
  set_own([](NodeObject& node) { node.network_unavailable = "True"; });
  acquire();
  api.instead = [](const Request&) { return FakeKubeApi::status(403, "Forbidden", "no"); };
  EXPECT_EQ(error_of(store->on_ready()),
            "PATCH /api/v1/nodes/own/status: HTTP status 403, Forbidden: no");
  api.instead = {};
  patches();
  EXPECT_TRUE(run(store->on_ready()));
  EXPECT_TRUE(run(store->on_ready()));
  EXPECT_EQ(patches().size(), 1U);
  set_condition = false;
  store = open();
  set_own([](NodeObject& node) { node.network_unavailable = "True"; });
  acquire();
  EXPECT_TRUE(run(store->on_ready()));
  EXPECT_EQ(api.node("own").network_unavailable, "True");
}

// Controllers of clouds give each new Node the condition, which keeps pods from it.
TEST_F(KubeStoreTest, OfANodeThatIsMadeAgainTheNetworkIsAvailableToo) {
  const Lease lease = acquire();
  EXPECT_TRUE(run(store->on_ready()));
  api.remove("own");
  EXPECT_EQ(error_of(store->renew(lease)), "there is no Node \"own\" (yet)");
  api.put({.name = "own",
           .uid = "again",
           .pod_cidrs = {"10.244.1.0/24"},
           .network_unavailable = "True"});
  EXPECT_TRUE(run(store->renew(lease)));
  EXPECT_EQ(api.node("own").network_unavailable, "False");
  patches();
  EXPECT_TRUE(run(store->renew(lease)));
  EXPECT_TRUE(patches().empty());
}

// Some distributions grant list and watch alone.
TEST_F(KubeStoreTest, WorksWithoutTheRightToGet) {
  api.instead = [](const Request& request) {
    return request.method() == "GET" && request.path().contains("/nodes/")
               ? std::optional(FakeKubeApi::status(403, "Forbidden"))
               : std::nullopt;
  };
  EXPECT_EQ(run(store->config()), kConfig);
  EXPECT_EQ(acquire().key, key_of("10.244.1.0-24"));
  api.take_requests();
  api.instead = {};
  const auto own_by_itself = [&] {
    run(store->config());
    return std::ranges::count(api.take_requests(), "GET /api/v1/nodes/own") == 1;
  };
  EXPECT_FALSE(own_by_itself());
  run(store->watch()->next());
  EXPECT_TRUE(own_by_itself()) << "rights may have been granted since";
}

}  // namespace
}  // namespace flannel

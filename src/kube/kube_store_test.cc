#include "kube/kube_store.h"

#include <algorithm>
#include <filesystem>

#include "kube/kube_store_fixture.h"

namespace flannel {
namespace {

using Request = FakeKubeApi::Request;

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

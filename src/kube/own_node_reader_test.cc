#include "kube/own_node_reader.h"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>

#include "kube/kube_store_fixture.h"

namespace flannel {
namespace {

using Request = FakeKubeApi::Request;

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

// As after the interface was waited for: what was read before is of another Node.
TEST_F(KubeStoreTest, ANodeThatIsMadeAgainBehindOurBackIsNotTakenForTheOldOne) {
  ASSERT_TRUE(run(store->facts()));
  api.remove("own");
  api.put({.name = "own", .uid = "another", .pod_cidrs = {"10.244.9.0/24"}});
  EXPECT_EQ(error_of(store->acquire(request())), "node \"own\" was made again");
  EXPECT_EQ(acquire().key, key_of("10.244.9.0-24"));
}

}  // namespace
}  // namespace flannel

// What a peer's Node may come to say, from the API server to the store's updates: every change that
// counts does so by itself, and nothing else wakes anybody.

#include <gtest/gtest.h>

#include "kube/kube_store.h"
#include "kube/node_annotations.h"
#include "kube/node_objects_fixture.h"
#include "store/store_fixture.h"
#include "test/support/fake_kube_api.h"

namespace flannel {
namespace {

class NodeEventsTest : public StoreFixture {
 protected:
  NodeEventsTest() {
    api.put({.name = "own", .pod_cidrs = {"10.244.1.0/24", "fc00:244:0:1::/64"}});
    api.put(dual());
    EXPECT_EQ(next(), (LeaseUpdate{.snapshot = true, .leases = {lease(dual())}}));
  }

  // A peer of both families.
  static NodeObject dual() {
    NodeObject node{.name = "n2",
                    .pod_cidrs = {"10.244.2.0/24", "fc00:244:0:2::/64"},
                    .annotations = annotations_of("198.18.0.12", "02:00:5e:10:00:02")};
    node.annotations["public-ipv6"] = "fd99::12";
    node.annotations["backend-v6-data"] = R"({"VNI":1,"VtepMAC":"02:00:5e:10:06:02"})";
    return node;
  }
  static Lease lease(const NodeObject& node) {
    return {subnets_of(node).value(), attrs_of(node.annotations).value(), std::nullopt};
  }

  LeaseUpdate next() { return run(watch->next(kNever)).value(); }
  bool is_quiet() {
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(50);
    return !run(watch->next(until));
  }
  // As the API does it: what comes is of the same Node until that is deleted.
  void change(const std::function<void(NodeObject&)>& what) {
    NodeObject node = dual();
    what(node);
    api.put(node);
  }

  FakeKubeApi api{loop};
  std::unique_ptr<LeaseStore> store =
      make_kube_store(api.client(loop.get_executor()), {.node_name = "own"});
  std::unique_ptr<LeaseWatch> watch = store->watch();
};

TEST_F(NodeEventsTest, EachAnnotationOfEitherFamilyCountsByItself) {
  const std::map<std::string, std::string> changes = {
      {"public-ip", "198.18.0.99"},
      {"public-ipv6", "fd99::99"},
      {"backend-data", R"({"VNI":1,"VtepMAC":"02:00:5e:10:00:99"})"},
      {"backend-v6-data", R"({"VNI":1,"VtepMAC":"02:00:5e:10:06:99"})"},
      {"backend-type", "host-gw"},
  };
  for (const auto& [name, value] : changes) {
    for (const bool is_there : {true, false}) {
      NodeObject changed = dual();
      if (is_there) {
        changed.annotations[name] = value;
      } else {
        changed.annotations.erase(name);
      }
      api.put(changed);
      EXPECT_EQ(next(), LeaseUpdate{.leases = {lease(changed)}}) << name << is_there;
      api.put(dual());
      EXPECT_EQ(next(), LeaseUpdate{.leases = {lease(dual())}}) << name << is_there;
    }
  }
  EXPECT_TRUE(is_quiet());
}

TEST_F(NodeEventsTest, WhatIsNotOursWakesNobody) {
  api.put(dual());  // a heartbeat
  change([](NodeObject& node) { node.network_unavailable = "False"; });
  api.put({.name = "n3", .pod_cidrs = {"10.244.3.0/24"}});  // without flannel
  api.bookmark();
  EXPECT_TRUE(is_quiet());
}

TEST_F(NodeEventsTest, ANodeThatNoLongerTakesPartHasLeft) {
  change([](NodeObject& node) { node.annotations.clear(); });
  EXPECT_EQ(next(), LeaseUpdate{.removed = {lease(dual()).key}});
  api.put(dual());
  EXPECT_EQ(next(), LeaseUpdate{.leases = {lease(dual())}});
  change([](NodeObject& node) { node.annotations["kube-subnet-manager"] = "false"; });
  EXPECT_EQ(next(), LeaseUpdate{.removed = {lease(dual()).key}});
}

TEST_F(NodeEventsTest, APodCidrMayComeLate) {
  NodeObject late = dual();
  late.name = "n3";
  late.pod_cidrs.clear();
  late.annotations.clear();
  api.put(late);
  late.annotations = dual().annotations;
  api.put(late);
  EXPECT_EQ(next().bad.size(), 1U);
  late.pod_cidrs = {"10.244.3.0/24", "fc00:244:0:3::/64"};
  api.put(late);
  const LeaseUpdate update = next();
  EXPECT_EQ(update.leases, std::vector{lease(late)});
  EXPECT_EQ(update.bad_removed.size(), 1U);
}

// Deleted and made again, whether the watch saw it or not.
TEST_F(NodeEventsTest, ANodeThatIsMadeAgainIsAnotherOne) {
  for (const bool with_history : {true, false}) {
    const NodeObject before = api.node("n2");
    EXPECT_TRUE(is_quiet());
    api.end_watches();
    api.remove("n2");
    NodeObject again = dual();
    again.uid = with_history ? "second" : "third";
    again.pod_cidrs = {with_history ? "10.244.8.0/24" : "10.244.9.0/24"};
    api.put(again);
    if (!with_history) {
      api.compact();
    }
    std::vector<Lease> leases;
    bool is_gone = false;
    while (leases.empty()) {
      const LeaseUpdate update = next();
      leases = update.leases;
      is_gone = is_gone || update.snapshot || update.removed == std::vector{lease(before).key};
    }
    EXPECT_EQ(leases, std::vector{lease(again)});
    EXPECT_TRUE(is_gone);
  }
}

TEST_F(NodeEventsTest, WhatCannotBeReadIsNamedAndStaysAsItWas) {
  change([](NodeObject& node) { node.annotations["backend-v6-data"] = "{"; });
  const LeaseUpdate update = next();
  EXPECT_EQ(update.unreadable, std::vector{lease(dual()).key});
  ASSERT_EQ(update.bad.size(), 1U);
  EXPECT_EQ(update.bad[0].reason, "annotation backend-v6-data \"{\": not JSON");
  EXPECT_TRUE(update.removed.empty());
  api.put(dual());
  EXPECT_EQ(next().bad_removed.size(), 1U);
}

}  // namespace
}  // namespace flannel

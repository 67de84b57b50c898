#include "kube/node_table.h"

#include <gtest/gtest.h>

#include <set>

#include "kube/node_annotations.h"
#include "kube/node_objects_fixture.h"

namespace flannel {
namespace {

using namespace std::chrono_literals;

class NodeTableTest : public testing::Test {
 protected:
  NodeTableTest() {
    table.clear("own");
    for (int number = 1; number <= 3; ++number) {
      table.put(recorded_node(number));
    }
  }

  static Lease lease(const NodeObject& node) {
    return {subnets_of(node).value(), attrs_of(node.annotations).value(), std::nullopt};
  }
  LeaseUpdate put(const NodeObject& node) {
    table.put(node, {.at = now, .before = "before"});
    return table.take_changes();
  }
  LeaseUpdate learn(const NodeObject& node) {
    table.learn(node, now);
    return table.take_changes();
  }
  LeaseUpdate remove(const NodeObject& node) {
    table.remove(node);
    return table.take_changes();
  }

  NodeTable table;
  NodeTable::Clock::time_point now = NodeTable::Clock::time_point() + 1h;
  const NodeObject one = recorded_node(1);
  const NodeObject two = recorded_node(2);
};

TEST_F(NodeTableTest, APeerIsWhoSaysSo) {
  EXPECT_EQ(table.take_snapshot(),
            (LeaseUpdate{.snapshot = true, .leases = {lease(one), lease(two)}}));
  NodeObject node = one;
  node.annotations["kube-subnet-manager"] = "True";
  EXPECT_EQ(put(node).removed, std::vector{lease(one).key});
  EXPECT_EQ(put(one).leases, std::vector{lease(one)});
}

TEST_F(NodeTableTest, AHeartbeatIsOfMetadataThatIsKnown) {
  const auto has = [this](const std::function<void(NodeObject&)>& change) {
    NodeObject node = two;
    change(node);
    return table.has(digest_of(node));
  };
  EXPECT_TRUE(has([](NodeObject& node) { node.version = "9"; }));
  EXPECT_FALSE(has([](NodeObject& node) { node.name = "other"; }));
  EXPECT_FALSE(has([](NodeObject& node) { node.uid = "other"; }));
  EXPECT_FALSE(has([](NodeObject& node) { node.annotations.clear(); }));
  EXPECT_FALSE(has([](NodeObject& node) { node.annotations["more"] = ""; }));
  EXPECT_FALSE(has([](NodeObject& node) {
    std::swap(node.annotations["public-ip"], node.annotations["backend-data"]);
  }));
  // One whose podCIDR is not known is asked for as of its last version.
  NodeObject bare = two;
  bare.uid = "again";
  put(metadata_of(bare));
  EXPECT_FALSE(table.has(digest_of(bare)));
}

TEST_F(NodeTableTest, WeAreNoPeer) {
  table.take_snapshot();
  NodeObject node = one;
  node.name = "own";
  EXPECT_EQ(put(node), LeaseUpdate());
}

// Whichever is listed first.
TEST_F(NodeTableTest, WhoHasOurPodCidrIsNamed) {
  NodeObject own = one;
  own.name = "own";
  own.uid = "ours";
  for (const bool own_first : {false, true}) {
    table.clear("own");
    if (own_first) {
      table.put_own(own);
    }
    table.put(one);
    table.put(two);
    if (!own_first) {
      table.put_own(own);
    }
    const LeaseUpdate update = table.take_snapshot();
    EXPECT_EQ(update.leases, std::vector{lease(two)});
    ASSERT_EQ(update.bad.size(), 1U);
    EXPECT_EQ(update.bad[0].key, "Node \"n1\"");
    EXPECT_TRUE(update.bad[0].reason.ends_with(" is that of this node as well"));
  }
  EXPECT_EQ(remove(one), LeaseUpdate{.bad_removed = {"Node \"n1\""}});
}

TEST_F(NodeTableTest, AHeartbeatChangesNothing) {
  table.take_snapshot();
  NodeObject node = metadata_of(one);
  node.version = "102";
  EXPECT_EQ(put(node), LeaseUpdate());
  EXPECT_TRUE(table.unknown().empty());
}

TEST_F(NodeTableTest, EachAnnotationCounts) {
  for (const auto& [name, value] :
       {std::pair("backend-data", "null"), std::pair("backend-v6-data", "{\"VNI\":1}"),
        std::pair("backend-type", "host-gw"), std::pair("public-ip", "198.18.0.99"),
        std::pair("public-ipv6", "2001:db8::1")}) {
    table.take_changes();
    NodeObject node = metadata_of(one);
    node.annotations[name] = value;
    EXPECT_EQ(put(node).leases,
              (std::vector{Lease{lease(one).key, attrs_of(node.annotations).value(), {}}}))
        << name;
    EXPECT_EQ(put(metadata_of(one)).leases, std::vector{lease(one)}) << name;
  }
}

TEST_F(NodeTableTest, OfAnUnknownUidThePodCidrIsAskedFor) {
  table.take_snapshot();
  NodeObject again = metadata_of(one);
  again.uid = "another";
  again.version = "200";
  EXPECT_EQ(put(again).removed, std::vector{lease(one).key});
  ASSERT_EQ(table.unknown().size(), 1U);
  EXPECT_EQ(table.unknown().at("n1").version, "200");
  NodeObject whole = one;
  whole.pod_cidrs = {"10.244.9.0/24"};
  EXPECT_EQ(learn(whole), LeaseUpdate()) << "that is the old one's";
  put(again);
  whole.uid = "another";
  whole.annotations["public-ip"] = "198.18.0.99";
  const LeaseUpdate update = learn(whole);
  ASSERT_EQ(update.leases.size(), 1U);
  EXPECT_EQ(to_text(update.leases[0].key), "10.244.9.0-24");
  EXPECT_EQ(update.leases[0].attrs, lease(one).attrs) << "the watch says when that changes";
  EXPECT_TRUE(table.unknown().empty());
}

TEST_F(NodeTableTest, APodCidrMayComeLate) {
  table.take_snapshot();
  NodeObject node{.name = "n4", .uid = "4", .version = "200"};
  EXPECT_EQ(put(node), LeaseUpdate());
  node.annotations = annotations_of("198.18.0.14", "02:00:5e:10:00:04");
  EXPECT_EQ(put(node), LeaseUpdate());
  EXPECT_EQ(table.unknown().size(), 1U);
  NodeObject whole = node;
  whole.whole = true;
  const LeaseUpdate none = learn(whole);
  ASSERT_EQ(none.bad.size(), 1U);
  EXPECT_EQ(none.bad[0], (BadEntry{"Node \"n4\"", "no podCIDR is assigned to it"}));
  EXPECT_TRUE(table.unknown().empty());
  node.version = "201";
  EXPECT_EQ(put(node), LeaseUpdate());
  EXPECT_EQ(table.unknown().size(), 1U) << "this may have been it";
  whole.pod_cidrs = {"10.244.4.0/24"};
  const LeaseUpdate update = learn(whole);
  EXPECT_EQ(update.leases, std::vector{lease(whole)});
  EXPECT_EQ(update.bad_removed, std::vector{none.bad[0].key});
}

TEST_F(NodeTableTest, ANewNodeIsAskedForByEachNodeAtATimeOfItsOwn) {
  std::set<NodeTable::Clock::time_point> times;
  for (const char* own : {"own", "another", "a third"}) {
    table.clear(own);
    put({.name = "n4", .uid = "4", .version = "200"});
    times.insert(table.unknown().at("n4").due);
  }
  EXPECT_EQ(times.size(), 3U);
}

TEST_F(NodeTableTest, ANewNodeIsAskedForSomeTimeLaterUnlessItIsAPeer) {
  table.take_snapshot();
  NodeObject node{.name = "n4", .uid = "4", .version = "200"};
  put(node);
  const auto due = table.unknown().at("n4").due;
  EXPECT_GE(due, now + kAskSoonest);
  EXPECT_LE(due, now + kAskLatest);
  now += 500ms;
  node.version = "201";
  put(node);
  EXPECT_EQ(table.unknown().at("n4").due, due);
  EXPECT_EQ(table.unknown().at("n4").version, "201");
  NodeObject peer = node;
  peer.annotations = annotations_of("198.18.0.14", "02:00:5e:10:00:04");
  put(peer);
  EXPECT_EQ(table.unknown().at("n4").due, now);
  put(node);
  EXPECT_EQ(table.unknown().size(), 1U) << "it may be one again";
  NodeObject whole = node;
  whole.whole = true;
  whole.pod_cidrs = {"10.244.4.0/24"};
  EXPECT_EQ(learn(whole), LeaseUpdate());
  peer.version = "203";
  EXPECT_EQ(put(peer).leases.size(), 1U);
  EXPECT_TRUE(table.unknown().empty());
}

TEST_F(NodeTableTest, ANodeWithoutAPodCidrIsAskedForOnceUntilItIsAPeer) {
  table.take_snapshot();
  NodeObject node{.name = "n4", .uid = "4", .version = "200"};
  put(node);
  NodeObject whole = node;
  whole.whole = true;
  learn(whole);
  node.version = "201";
  put(node);
  EXPECT_TRUE(table.unknown().empty());
  node.annotations = annotations_of("198.18.0.14", "02:00:5e:10:00:04");
  put(node);
  EXPECT_EQ(table.unknown().size(), 1U);
}

TEST_F(NodeTableTest, APeerWithoutAPodCidrIsAskedForLessAndLessOften) {
  table.take_snapshot();
  NodeObject node{.name = "n4",
                  .uid = "4",
                  .version = "200",
                  .annotations = annotations_of("198.18.0.14", "02:00:5e:10:00:04")};
  NodeObject whole = node;
  whole.whole = true;
  NodeTable::Clock::duration wait{};
  for (int i = 0; i < 20; ++i) {
    put(node);
    const auto due = table.unknown().at("n4").due;
    EXPECT_EQ(due, now + wait);
    now = due;
    learn(whole);
    EXPECT_TRUE(table.unknown().empty()) << "until it has changed";
    wait = std::clamp<NodeTable::Clock::duration>(2 * wait, kAskAgainFirst, kAskAgainMost);
  }
  EXPECT_EQ(wait, kAskAgainMost);
  node.uid = "5";
  put(node);
  EXPECT_EQ(table.unknown().at("n4").due, now) << "another one";
}

// Whoever writes nonsense is still there.
TEST_F(NodeTableTest, AnnotationsThatCannotBeReadAreNoDeparture) {
  table.take_snapshot();
  NodeObject node = metadata_of(one);
  node.annotations["public-ip"] = "nowhere";
  const LeaseUpdate bad = put(node);
  ASSERT_EQ(bad.bad.size(), 1U);
  EXPECT_EQ(bad.bad[0].key, "Node \"n1\"");
  EXPECT_EQ(bad.unreadable, std::vector{lease(one).key});
  EXPECT_TRUE(bad.removed.empty());
  const LeaseUpdate gone = remove(node);
  EXPECT_EQ(gone.removed, std::vector{lease(one).key});
  EXPECT_EQ(gone.bad_removed, std::vector{bad.bad[0].key});
}

TEST_F(NodeTableTest, ADeletedNodeIsGoneUnlessItIsThereAgain) {
  table.take_snapshot();
  EXPECT_EQ(remove(two).removed, std::vector{lease(two).key});
  EXPECT_EQ(remove(two), LeaseUpdate());
  NodeObject old = one;
  old.uid = "of before";
  EXPECT_EQ(remove(old), LeaseUpdate());
}

TEST_F(NodeTableTest, ASubnetThatPassesOnWithinOneUpdateIsChanged) {
  table.take_snapshot();
  table.remove(two);
  NodeObject heir = two;
  heir.name = "n7";
  heir.uid = "7";
  heir.annotations["public-ip"] = "198.18.0.17";
  table.put(heir);
  EXPECT_EQ(table.take_changes(), LeaseUpdate{.leases = {lease(heir)}});
}

TEST_F(NodeTableTest, ASubnetIsOneNodesUntilThatOneIsGone) {
  table.take_snapshot();
  NodeObject second = two;
  second.name = "n0";
  second.uid = "0";
  second.annotations["public-ip"] = "198.18.0.10";
  const LeaseUpdate refused = put(second);
  EXPECT_EQ(refused.bad,
            (std::vector{BadEntry{"Node \"n0\"", "10.244.2.0/24 is that of Node \"n2\" as well"}}));
  EXPECT_TRUE(refused.leases.empty());
  const LeaseUpdate passed = remove(two);
  EXPECT_EQ(passed.leases, std::vector{lease(second)});
  EXPECT_TRUE(passed.removed.empty());
  EXPECT_EQ(passed.bad_removed, std::vector{refused.bad[0].key});
}

TEST_F(NodeTableTest, TensOfThousandsThatCannotBeUsedMayLeave) {
  constexpr int kMany = 20'000;
  std::vector<NodeObject> nodes;
  for (int i = 0; i < kMany; ++i) {
    nodes.push_back(one);
    nodes.back().name = std::to_string(i);
    nodes.back().annotations["public-ip"] = "nowhere";
    nodes.back().pod_cidrs = {fmt::format("10.{}.{}.0/24", i / 2 / 250, i / 2 % 250)};
    table.put(nodes.back());
  }
  table.take_changes();
  for (const NodeObject& node : nodes) {
    table.remove(node);
  }
  EXPECT_EQ(table.take_changes().bad_removed.size(), static_cast<std::size_t>(kMany));
}

TEST_F(NodeTableTest, AListSaysWhoseSubnetCannotBeRead) {
  table.clear("own");
  NodeObject node = one;
  node.annotations["public-ip"] = "nowhere";
  table.put(node);
  table.put(two);
  const LeaseUpdate update = table.take_snapshot();
  EXPECT_TRUE(update.snapshot);
  EXPECT_EQ(update.leases, std::vector{lease(two)});
  EXPECT_EQ(update.bad.size(), 1U);
  EXPECT_EQ(update.unreadable, std::vector{lease(one).key});
}

TEST_F(NodeTableTest, ABadOneThatChangesIsOneStill) {
  table.take_changes();
  NodeObject node = one;
  node.annotations["public-ip"] = "nowhere";
  EXPECT_TRUE(put(node).bad_removed.empty());
  node.annotations["public-ip"] = "elsewhere";
  const LeaseUpdate update = put(node);
  ASSERT_EQ(update.bad.size(), 1U);
  EXPECT_TRUE(update.bad_removed.empty());
}

TEST_F(NodeTableTest, MillionsOfBadOnesAreCounted) {
  table.clear("own");
  for (std::size_t i = 0; i < kMostBadEntries + 5; ++i) {
    table.put({.name = std::to_string(i),
               .uid = "1",
               .whole = true,
               .annotations = {{"kube-subnet-manager", "true"}}});
  }
  const LeaseUpdate update = table.take_changes();
  EXPECT_EQ(update.bad.size(), kMostBadEntries);
  EXPECT_EQ(update.more_bad.size(), 5U);
}

}  // namespace
}  // namespace flannel

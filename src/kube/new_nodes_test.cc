// Nodes that come while they are watched: whence their podCIDRs.

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <iterator>
#include <set>

#include "kube/node_watch_fixture.h"

namespace flannel {
namespace {

using namespace std::chrono_literals;

class NewNodesTest : public NodeWatchTest {
 protected:
  static NodeObject bare(int number) {
    NodeObject node = peer(number);
    node.annotations.clear();
    return node;
  }
  // Follows the watch meanwhile.
  void wait_for_request(const std::string& text) {
    std::vector<std::string> requests;
    follow_until([&] {
      std::ranges::move(api.take_requests(), std::back_inserter(requests));
      return std::ranges::find(requests, text) != requests.end();
    });
  }
};

TEST_F(NewNodesTest, OfANewNodeThePodCidrIsAskedFor) {
  next();
  api.put(peer(3));
  EXPECT_EQ(next(), LeaseUpdate{.leases = {lease(peer(3))}});
  EXPECT_EQ(requests_with("/nodes/"),
            std::vector<std::string>{"GET /api/v1/nodes/n3?resourceVersion=103"});
}

// Its flanneld runs some seconds later: what it publishes is used at once.
TEST_F(NewNodesTest, ANodeIsAskedForBeforeItIsAPeer) {
  next();
  api.put(bare(3));
  wait_for_request("GET /api/v1/nodes/n3?resourceVersion=103");
  api.put(bare(3));
  EXPECT_EQ(next_within(50ms), std::nullopt);
  api.put(peer(3));
  EXPECT_EQ(next(), LeaseUpdate{.leases = {lease(peer(3))}});
  EXPECT_TRUE(requests_with("/nodes").empty());
}

TEST_F(NewNodesTest, APodCidrMayComeAfterTheAnnotations) {
  next();
  NodeObject node = peer(3);
  node.pod_cidrs.clear();
  api.put(node);
  EXPECT_EQ(next().bad.size(), 1U);
  api.put(peer(3));
  const LeaseUpdate update = next();
  EXPECT_EQ(update.leases, std::vector{lease(peer(3))});
  EXPECT_EQ(update.bad_removed.size(), 1U);
}

TEST_F(NewNodesTest, APeerWithoutAPodCidrIsNotAskedForAtEachHeartbeat) {
  next();
  NodeObject node = peer(3);
  node.pod_cidrs.clear();
  api.put(node);
  EXPECT_EQ(next().bad.size(), 1U);
  api.take_requests();
  const auto begun = std::chrono::steady_clock::now();
  std::size_t asked = 0;
  for (int i = 0; i < 30; ++i) {
    api.put(node);
    EXPECT_EQ(next_within(5ms), std::nullopt);
    asked += requests_with("/nodes/").size();
  }
  const std::size_t most = (std::chrono::steady_clock::now() - begun) / kAskAgainFirst;
  EXPECT_LE(asked, most);
}

class ManyNewNodesTest : public NewNodesTest {
 protected:
  static constexpr int kMany = 100;

  ManyNewNodesTest() {
    run(patient.next(kNever));
    EXPECT_EQ(run(patient.next(std::chrono::steady_clock::now() + 5ms)), std::nullopt);
    api.take_requests();
  }

  // Follows the watch until nothing is missing of `wanted`, and returns all that was removed.
  std::set<LeaseKey> follow_until(std::set<LeaseKey> wanted) {
    std::set<LeaseKey> removed;
    while (!wanted.empty()) {
      const LeaseUpdate update = run(patient.next(kNever)).value();
      EXPECT_FALSE(update.snapshot);
      removed.insert(update.removed.begin(), update.removed.end());
      for (const Lease& each : update.leases) {
        wanted.erase(each.key);
      }
    }
    return removed;
  }
  static std::set<LeaseKey> keys(int first, int last) {
    std::set<LeaseKey> out;
    for (int i = first; i <= last; ++i) {
      out.insert(lease(peer(i)).key);
    }
    return out;
  }

  NodeWatch patient = [this] {
    timing.whole = 300ms;
    timing.replay = 200ms;
    return open();
  }();
};

TEST_F(ManyNewNodesTest, WholeNodesAreWatchedFromBeforeTheyCameUntilTheyAreKnown) {
  for (int i = 3; i <= kMany; ++i) {
    api.put(peer(i));
  }
  api.remove("n1");
  const std::set<LeaseKey> removed = follow_until(keys(3, kMany));
  EXPECT_EQ(removed, keys(1, 1));
  api.put(peer(200));
  EXPECT_TRUE(follow_until(keys(200, 200)).empty());
  EXPECT_EQ(api.take_requests(),
            std::vector<std::string>{
                "GET /api/v1/nodes?watch=true&allowWatchBookmarks=true&resourceVersion=102"});
  EXPECT_EQ(run(patient.next(std::chrono::steady_clock::now() + 500ms)), std::nullopt);
  api.put(peer(201));
  EXPECT_TRUE(follow_until(keys(201, 201)).empty());
  EXPECT_EQ(api.take_requests(),
            (std::vector<std::string>{
                "GET /api/v1/nodes?watch=true&allowWatchBookmarks=true&resourceVersion=202",
                "GET /api/v1/nodes/n201?resourceVersion=203"}))
      << "metadata again";
}

// As they are when many machines are started at once.
TEST_F(ManyNewNodesTest, WhatIsSaidOfThemMeanwhileIsInOrder) {
  for (int i = 3; i <= kMany; ++i) {
    NodeObject node = bare(i);
    node.pod_cidrs.clear();
    api.put(node);
  }
  EXPECT_EQ(run(patient.next(std::chrono::steady_clock::now() + 5ms)), std::nullopt);
  NodeObject moved = peer(2);
  for (const char* address : {"198.18.9.1", "198.18.9.2"}) {
    moved.annotations["public-ip"] = address;
    api.put(moved);
  }
  for (int i = 3; i <= kMany; ++i) {
    api.put(bare(i));
  }
  for (int i = 3; i <= kMany; ++i) {
    api.put(peer(i));
  }
  std::vector<std::string> addresses;  // of n2
  for (std::set<LeaseKey> wanted = keys(3, kMany); !wanted.empty();) {
    const LeaseUpdate update = run(patient.next(kNever)).value();
    for (const Lease& each : update.leases) {
      wanted.erase(each.key);
      if (each.key == lease(peer(2)).key) {
        addresses.push_back(each.attrs.public_ip->to_text());
      }
    }
  }
  ASSERT_FALSE(addresses.empty());
  EXPECT_EQ(addresses.back(), "198.18.9.2");
  EXPECT_LE(addresses.size(), 2U) << "what was has had its effect";
  EXPECT_TRUE(requests_with("/nodes/").empty());
}

TEST_F(ManyNewNodesTest, OneThatIsMadeAgainMeanwhileIsTheLast) {
  for (int i = 3; i <= kMany; ++i) {
    api.put(peer(i));
  }
  NodeObject again = peer(3);
  again.uid = "another";
  again.pod_cidrs = {"10.9.3.0/24"};
  api.remove("n3");
  api.put(again);
  std::set<LeaseKey> wanted = keys(4, kMany);
  wanted.insert(lease(again).key);
  follow_until(wanted);
  EXPECT_TRUE(requests_with("/nodes/").empty());
}

TEST_F(ManyNewNodesTest, ThoseThatAreNotWithinHistoryAreListed) {
  for (int i = 3; i <= kMany; ++i) {
    api.put(peer(i));
  }
  answer("resourceVersion=102", FakeKubeApi::status(410, "Expired"), 1);
  const LeaseUpdate update = run(patient.next(kNever)).value();
  EXPECT_TRUE(update.snapshot);
  EXPECT_EQ(update.leases.size(), static_cast<std::size_t>(kMany));
}

TEST_F(NewNodesTest, ANodeThatCannotBeHadNowIsAskedForAgain) {
  next();
  answer("/nodes/", FakeKubeApi::status(500, "InternalError", "not now"), 2);
  api.put(peer(3));
  api.put(peer(1));
  EXPECT_EQ(next(), LeaseUpdate{.leases = {lease(peer(3))}});
  EXPECT_EQ(troubles, (std::vector<std::string>{
                          "GET /api/v1/nodes/n3: HTTP status 500, InternalError: not now", ""}));
}

TEST_F(NewNodesTest, ANodeThatIsGoneMeanwhileIsNotWaitedFor) {
  next();
  answer("/nodes/", FakeKubeApi::status(404, "NotFound"));
  api.put(peer(3));
  EXPECT_EQ(next_within(50ms), std::nullopt);
  EXPECT_EQ(requests_with("/nodes/").size(), 1U);
  api.remove("n3");
  EXPECT_EQ(next_within(kAskAgainFirst + 200ms), std::nullopt);
  EXPECT_TRUE(requests_with("/nodes/").empty());
  EXPECT_TRUE(troubles.empty());
}

// What the watch has, an answer does not undo: a server may be behind, and a proxy say anything.
TEST_F(NewNodesTest, ANodeThatAnAnswerKnowsNothingOfIsAskedForAgain) {
  next();
  const FakeKubeApi::Reply old = {
      .headers = {{":status", "200"}, {"content-type", "application/json"}},
      .body = R"({"kind":"Node","metadata":{"name":"n5","uid":"old",)"
              R"("resourceVersion":"7"},"spec":{}})"};
  int number = 3;
  for (const FakeKubeApi::Reply& reply :
       {FakeKubeApi::status(404, "NotFound"),
        FakeKubeApi::Reply{.headers = {{":status", "404"}}, .body = "404 page not found"}, old}) {
    answer("/nodes/", reply, 1);
    api.put(peer(number));
    EXPECT_EQ(next(), LeaseUpdate{.leases = {lease(peer(number))}});
    ++number;
  }
  EXPECT_TRUE(troubles.empty());
}

TEST_F(NewNodesTest, ANodeThatNoAnswerKnowsIsATrouble) {
  next();
  answer("/nodes/", FakeKubeApi::status(404, "NotFound"), 2);
  api.put(peer(3));
  EXPECT_EQ(next(), LeaseUpdate{.leases = {lease(peer(3))}});
  ASSERT_EQ(troubles.size(), 2U);
  EXPECT_TRUE(troubles[0].ends_with(" has not the Node \"n3\" that its watch tells of"));
  EXPECT_EQ(troubles[1], "");
}

TEST_F(NewNodesTest, TheTroubleOfANodeEndsWithIt) {
  next();
  answer("/nodes/", FakeKubeApi::status(500, "InternalError"));
  api.put(peer(3));
  follow_until([&] { return troubles.size() == 1; });
  api.remove("n3");
  follow_until([&] { return troubles.back().empty(); });
}

TEST_F(NewNodesTest, AnAnswerThatDoesNotComeHoldsUpNothingElse) {
  next();
  answer("/nodes/n3", {.never = true});
  api.put(peer(3));
  EXPECT_EQ(next_within(50ms), std::nullopt);
  const auto begun = std::chrono::steady_clock::now();
  api.remove("n1");
  EXPECT_EQ(next(), LeaseUpdate{.removed = {lease(peer(1)).key}});
  api.put(peer(4));
  EXPECT_EQ(next(), LeaseUpdate{.leases = {lease(peer(4))}});
  EXPECT_LT(std::chrono::steady_clock::now() - begun, kApiCallTime / 2);
}

TEST_F(NewNodesTest, WithoutTheRightToGetNodesAreListedOneByOne) {
  next();
  answer("/nodes/", FakeKubeApi::status(403, "Forbidden"));
  api.put(peer(3));
  EXPECT_EQ(next(), LeaseUpdate{.leases = {lease(peer(3))}});
  api.put(peer(4));
  EXPECT_EQ(next(), LeaseUpdate{.leases = {lease(peer(4))}});
  EXPECT_EQ(requests_with("/nodes").size(), 5U) << "list, watch, get, one, one";
}

}  // namespace
}  // namespace flannel

#include "kube/node_watch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <iterator>
#include <set>
#include <utility>

#include "kube/node_watch_fixture.h"

namespace flannel {
namespace {

using namespace std::chrono_literals;
using Reply = FakeKubeApi::Reply;
using Request = FakeKubeApi::Request;

TEST_F(NodeWatchTest, ListsOnceAndFollowsMetadataFromThere) {
  EXPECT_EQ(next(), (LeaseUpdate{.snapshot = true, .leases = {lease(peer(1)), lease(peer(2))}}));
  NodeObject changed = peer(1);
  changed.annotations["public-ip"] = "198.18.9.9";
  api.put(changed);
  EXPECT_EQ(next(), LeaseUpdate{.leases = {lease(changed)}});
  api.remove("n2");
  EXPECT_EQ(next(), LeaseUpdate{.removed = {lease(peer(2)).key}});
  EXPECT_EQ(api.take_requests(),
            (std::vector<std::string>{
                "GET /api/v1/nodes?resourceVersion=0",
                "GET /api/v1/nodes?watch=true&allowWatchBookmarks=true&resourceVersion=102"}));
  EXPECT_TRUE(troubles.empty());
}

TEST_F(NodeWatchTest, ListsMayComeCompressed) {
  api.gzip = true;
  EXPECT_EQ(next().leases.size(), 2U);
}

TEST_F(NodeWatchTest, AHeartbeatWakesNobody) {
  next();
  EXPECT_EQ(next_within(5ms), std::nullopt);
  for (int i = 0; i < 10; ++i) {
    api.put(peer(1));
  }
  follow_until([&] { return seen == "112"; });
}

// What comes behind news that nobody has read yet is no heartbeat by what was known before.
TEST_F(NodeWatchTest, WhatIsTakenBackAtOnceIsAsItWas) {
  next();
  EXPECT_EQ(next_within(5ms), std::nullopt);
  NodeObject changed = peer(1);
  changed.annotations["public-ip"] = "198.18.9.9";
  api.put(peer(2));
  api.put(changed);
  api.put(peer(1));
  std::vector<Lease> leases;
  while (seen != "105") {
    const LeaseUpdate update = next_within(50ms).value_or(LeaseUpdate());
    std::ranges::copy(update.leases, std::back_inserter(leases));
  }
  ASSERT_FALSE(leases.empty());
  EXPECT_EQ(leases.back(), lease(peer(1)));
}

TEST_F(NodeWatchTest, AServerWithoutMetadataIsWatchedWhole) {
  api.instead = [](const Request& request) {
    return find_header(request.headers, "accept").contains("as=")
               ? std::optional(FakeKubeApi::status(406, "NotAcceptable"))
               : std::nullopt;
  };
  next();
  api.put(peer(3));
  EXPECT_EQ(next(), LeaseUpdate{.leases = {lease(peer(3))}});
  EXPECT_EQ(requests_with("/nodes/").size(), 0U);
}

TEST_F(NodeWatchTest, AServerWithoutProtobufIsListedInPagesOfJson) {
  for (const char* refusal : {"406", "another type"}) {
    nodes = std::make_shared<NodeApi>(api.client(loop.get_executor()), kPrefix);
    NodeWatch again = open();
    for (int i = 3; i < 600; ++i) {
      api.put(peer(i));
    }
    api.instead = [&](const Request& request) -> std::optional<Reply> {
      if (!find_header(request.headers, "accept").contains("protobuf") ||
          request.path().contains("/nodes/")) {
        return std::nullopt;
      }
      return std::string_view(refusal) == "406" ? FakeKubeApi::status(415, "")
                                                : Reply{.body = "{}"};
    };
    EXPECT_EQ(run(again.next(kNever)).value().leases.size(), 599U) << refusal;
    EXPECT_EQ(requests_with("limit=500").size(), 2U);
    NodeObject changed = peer(7);
    changed.annotations["public-ip"] = "198.19.9.9";
    std::optional<LeaseUpdate> update = run(again.next(std::chrono::steady_clock::now() + 50ms));
    EXPECT_EQ(update, std::nullopt);
    api.put(changed);
    EXPECT_EQ(run(again.next(kNever)), LeaseUpdate{.leases = {lease(changed)}});
  }
}

// Whether it sends one page again and again, or always another.
TEST_F(NodeWatchTest, AListWithoutEndIsGivenUp) {
  std::string items = R"({"metadata":{"name":"n"}})";
  for (int i = 1; i < 20'000; ++i) {
    items += R"(,{"metadata":{"name":"n"}})";
  }
  for (const bool always_same : {true, false}) {
    int pages = 0;
    api.instead = [&](const Request& request) -> std::optional<Reply> {
      if (!troubles.empty() || !FakeKubeApi::is_list(request)) {
        return std::nullopt;
      }
      if (find_header(request.headers, "accept").contains("protobuf")) {
        return FakeKubeApi::status(406, "NotAcceptable");
      }
      const std::string token = always_same ? "again" : std::to_string(pages);
      ++pages;
      return Reply{.body = fmt::format(
                       R"({{"kind":"NodeList","metadata":{{"continue":"{}"}},"items":[{}]}})",
                       token, always_same ? R"({"metadata":{"name":"n"}})" : items)};
    };
    NodeWatch fresh = open();
    EXPECT_EQ(run(fresh.next(kNever)).value().leases.size(), 2U);
    ASSERT_EQ(troubles.size(), 1U);
    EXPECT_TRUE(troubles[0].ends_with(" sends a list without end")) << troubles[0];
    EXPECT_LE(pages, always_same ? 2 : 11);
    troubles.clear();
  }
}

// As while it is overloaded. The wait is no reason to say nothing.
TEST_F(NodeWatchTest, AListThatIsPostponedIsATrouble) {
  Reply later = FakeKubeApi::status(429, "TooManyRequests", "later");
  later.headers.push_back({"retry-after", "30"});
  answer("GET /api/v1/nodes?", later);
  asio::co_spawn(loop, watch.next(kNever), asio::detached);
  run_until([this] { return !troubles.empty(); });
  EXPECT_EQ(troubles[0], "GET /api/v1/nodes: HTTP status 429, TooManyRequests: later");
  EXPECT_EQ(api.take_requests().size(), 1U);
}

// As one who asks for a password, for a moment.
TEST_F(NodeWatchTest, AProxysPageIsNoReasonToAskForLess) {
  const Reply page = {.headers = {{":status", "200"}, {"content-type", "text/html"}},
                      .body = "<p>"};
  next();
  EXPECT_EQ(next_within(5ms), std::nullopt);
  answer("/nodes", page, 3);  // metadata, whole, JSON
  api.end_watches();
  api.put(peer(3));
  EXPECT_EQ(next(), LeaseUpdate{.leases = {lease(peer(3))}});
  EXPECT_EQ(requests_with("/nodes/").size(), 1U) << "metadata again";
  for (const unsigned pages : {1U, 0U}) {
    api.version += 10;
    api.compact();
    api.end_watches();
    answer("GET /api/v1/nodes?resourceVersionMatch", page, static_cast<int>(pages));
    EXPECT_TRUE(next().snapshot);
    EXPECT_EQ(requests_with("limit=500").size(), pages);
  }
}

TEST_F(NodeWatchTest, WhereHistoryIsCompactedItListsAgain) {
  next();
  api.put(peer(3));
  api.compact();
  const LeaseUpdate update = next();
  EXPECT_TRUE(update.snapshot);
  EXPECT_EQ(update.leases.size(), 3U);
  EXPECT_EQ(next_within(5ms), std::nullopt);
  EXPECT_TRUE(troubles.empty());
  api.error(410, "Expired");
  EXPECT_TRUE(next().snapshot);
  EXPECT_EQ(troubles.size(), 1U) << "so soon again";
}

TEST_F(NodeWatchTest, AServerWhoseHistoryIsNeverOfUseIsATrouble) {
  answer("watch=true", FakeKubeApi::status(410, "Expired", "never"));
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(next().snapshot);
  }
  EXPECT_EQ(troubles,
            std::vector<std::string>{"GET /api/v1/nodes: HTTP status 410, Expired: never"});
}

TEST_F(NodeWatchTest, WatchesThatEndAtOnceAreOneTroubleUntilOneLasts) {
  const Reply ends = {
      .headers = {{":status", "200"}, {"content-type", "application/vnd.kubernetes.protobuf"}}};
  answer("watch=true", ends, 4);
  next();
  EXPECT_EQ(next_within(1s), std::nullopt);
  EXPECT_EQ(troubles,
            std::vector<std::string>{"Kubernetes http://kube.test ended the watch at once"});
  const Deadline end = std::chrono::steady_clock::now() + 6 * WatchAttempts::kLasting;
  while (troubles.size() == 1 && std::chrono::steady_clock::now() < end) {
    EXPECT_EQ(next_within(100ms), std::nullopt);
  }
  EXPECT_EQ(troubles.back(), "");
}

TEST_F(NodeWatchTest, AWatchThatEndedGoesOnFromTheLastVersionSeen) {
  next();
  EXPECT_EQ(next_within(5ms), std::nullopt);
  api.version = 500;
  api.bookmark();
  follow_until([&] { return seen == "500"; });
  api.take_requests();
  api.end_watches();
  std::vector<std::string> requests;
  follow_until([&] { return !(requests = api.take_requests()).empty(); });
  ASSERT_EQ(requests.size(), 1U);
  EXPECT_TRUE(requests[0].ends_with("&resourceVersion=500")) << requests[0];
  api.error(500, "InternalError");
  api.put(peer(3));
  EXPECT_EQ(next(), LeaseUpdate{.leases = {lease(peer(3))}});
  EXPECT_TRUE(troubles.at(1).ends_with("ended the watch: as the test has it")) << troubles.at(1);
}

// Its versions are lower than those we know, so that a watch of ours is silent.
TEST_F(NodeWatchTest, EtcdThatWasRestoredIsListedAsItIs) {
  timing.most_silence = 50ms;
  NodeWatch impatient = open();
  EXPECT_EQ(run(impatient.next(kNever)).value().leases.size(), 2U);
  api.version = 50;
  api.remove("n2");
  EXPECT_EQ(run(impatient.next(kNever)),
            (LeaseUpdate{.snapshot = true, .leases = {lease(peer(1))}}));
  EXPECT_EQ(seen, "51");
}

TEST_F(NodeWatchTest, AServerThatSaysNothingForLongIsListed) {
  timing.most_silence = 50ms;
  NodeWatch impatient = open();
  EXPECT_TRUE(run(impatient.next(kNever))->snapshot);
  EXPECT_TRUE(run(impatient.next(kNever))->snapshot);
}

TEST_F(NodeWatchTest, AListThatIsNotCompleteIsNone) {
  const std::string list = api.list_body();
  const Headers protobuf = {{":status", "200"},
                            {"content-type", "application/vnd.kubernetes.protobuf"}};
  Headers packed = protobuf;
  packed.push_back({"content-encoding", "gzip"});
  Headers unknown = protobuf;
  unknown.push_back({"content-encoding", "br"});
  const std::vector<Reply> replies = {
      {.headers = protobuf, .body = list.substr(0, list.size() / 2)},
      {.headers = protobuf, .body = ""},
      {.headers = protobuf, .body = list.substr(0, list.size() / 2), .end = false, .reset = 2},
      {.headers = packed, .body = list},
      {.headers = unknown, .body = list}};
  for (const Reply& reply : replies) {
    troubles.clear();
    NodeWatch fresh = open();
    answer("GET /api/v1/nodes?", reply, 1);
    EXPECT_EQ(run(fresh.next(kNever)).value().leases.size(), 2U);
    EXPECT_EQ(troubles.size(), 1U);
  }
}

// Sends `bytes` every few milliseconds, as long as `goes_on`.
Task<void> trickle(FakeKubeApi& api, std::string bytes, std::function<bool()> goes_on) {
  while (goes_on()) {
    co_await sleep_for(10ms);
    api.send_raw(bytes);
  }
}

TEST_F(NodeWatchTest, AListThatHardlyMovesIsGivenUp) {
  nodes = std::make_shared<NodeApi>(api.client(loop.get_executor()), kPrefix,
                                    LeastRate{.bytes = 10'000, .window = 100ms});
  NodeWatch impatient = open();
  Reply begun = FakeKubeApi::list_reply(api.list_body().substr(0, 10));
  begun.end = false;
  answer("GET /api/v1/nodes?", begun, 1);
  asio::co_spawn(loop, trickle(api, "x", [this] { return troubles.empty(); }), asio::detached);
  EXPECT_EQ(run(impatient.next(kNever)).value().leases.size(), 2U);
  EXPECT_TRUE(troubles.at(0).starts_with("the list of nodes comes too slowly: ")) << troubles[0];
}

TEST_F(NodeWatchTest, AnEventThatNeverEndsIsNone) {
  timing.most_silence = 100ms;
  NodeWatch impatient = open();
  run(impatient.next(kNever));
  bool is_listed = false;
  const std::string length("\0\0\xff\xff", 4);
  asio::co_spawn(loop, trickle(api, length, [&] { return !is_listed; }), asio::detached);
  is_listed = run(impatient.next(kNever)).value().snapshot;
  EXPECT_TRUE(is_listed);
}

// The server sends it again as long as its history has it.
TEST_F(NodeWatchTest, AnEventThatCannotBeReadIsSaidAndTheNodesAreListed) {
  next();
  EXPECT_EQ(next_within(5ms), std::nullopt);
  NodeObject node = peer(1);
  node.annotations["backend-data"] = std::string(300'000, 'x');
  api.put(node);
  api.put(peer(1));
  api.put(peer(3));
  const LeaseUpdate update = next();
  EXPECT_TRUE(update.snapshot);
  EXPECT_EQ(update.leases.size(), 3U);
  EXPECT_TRUE(troubles.at(0).starts_with("Node \"n1\": the API server sent an annotation of 3"));
  EXPECT_EQ(requests_with("nodes?").size(), 4U) << "list, watch, the same watch, list";
}

TEST_F(NodeWatchTest, AnotherUidInAGapIsAnotherNode) {
  next();
  for (const bool with_history : {true, false}) {
    api.end_watches();
    NodeObject again = peer(1);
    again.uid = with_history ? "second" : "third";
    again.pod_cidrs = {with_history ? "10.9.1.0/24" : "10.9.2.0/24"};
    api.remove("n1");
    api.put(again);
    if (!with_history) {
      api.compact();
    }
    std::set<std::string> subnets;
    for (LeaseUpdate update; !subnets.contains(to_text(lease(again).key));) {
      update = next();
      for (const Lease& each : update.leases) {
        subnets.insert(to_text(each.key));
      }
      EXPECT_EQ(update.snapshot, !with_history);
    }
    EXPECT_FALSE(subnets.contains(to_text(lease(peer(1)).key)));
  }
}

// What it said is what somebody remembers.
TEST_F(NodeWatchTest, ATroubleDoesNotOutliveItsWatch) {
  answer("GET /api/v1/nodes?resource", FakeKubeApi::status(500, "InternalError"), 1);
  {
    NodeWatch first = open();
    EXPECT_TRUE(run(first.next(kNever))->snapshot);
  }
  ASSERT_EQ(troubles.size(), 1U);
  next();
  follow_until([&] { return troubles.size() == 2; });
  EXPECT_EQ(troubles.back(), "");
}

TEST_F(NodeWatchTest, NonsenseIsNotFollowed) {
  next();
  EXPECT_EQ(next_within(5ms), std::nullopt);
  api.send_raw("nonsense");
  api.put(peer(3));
  EXPECT_EQ(next(), LeaseUpdate{.leases = {lease(peer(3))}});
  EXPECT_EQ(troubles.size(), 2U);
}

// 5,000 Nodes as large as real ones; a tenth of them leaves while another comes.
TEST_F(NodeWatchTest, FiveThousandNodes) {
  api.padding_metadata = 2'500;
  api.padding_rest = 8'500;
  api.gzip = true;
  for (int i = 3; i <= 5'000; ++i) {
    api.put(peer(i));
  }
  std::set<LeaseKey> keys;
  const auto follow = [&] {
    const LeaseUpdate update = next();
    if (update.snapshot) {
      keys.clear();
    }
    for (const LeaseKey& key : update.removed) {
      keys.erase(key);
    }
    for (const Lease& each : update.leases) {
      keys.insert(each.key);
    }
  };
  follow();
  EXPECT_EQ(keys.size(), 5'000U);
  for (int i = 1; i <= 400; ++i) {
    api.put(peer(i));
  }
  follow_until([&] { return seen == std::to_string(api.version); });  // heartbeats
  std::set<LeaseKey> wanted = keys;
  for (int i = 1; i <= 500; ++i) {
    api.remove(fmt::format("n{}", i));
    wanted.erase(lease(peer(i)).key);
    api.put(peer(5'000 + i));
    wanted.insert(lease(peer(5'000 + i)).key);
  }
  while (keys != wanted) {
    follow();
  }
  EXPECT_EQ(troubles, std::vector<std::string>());
}

}  // namespace
}  // namespace flannel

// The whole etcd store against servers that break every rule: it must say so, wait no longer than
// it should, and be well again with the next honest answer.
#include <nghttp2/nghttp2.h>

#include <algorithm>
#include <functional>
#include <protozero/pbf_writer.hpp>

#include "base/printable.h"
#include "rpc/grpc.h"
#include "test/support/etcd_replies.h"
#include "test/support/hostile_texts.h"

namespace flannel {
namespace {

std::string endless_headers() {
  // HEADERS of stream 1 without END_HEADERS, then CONTINUATION after CONTINUATION: 4 MB of them.
  std::string block(1, '\0');
  block += std::string("\x01x\x7f\x81\x7c", 5) + std::string(16'000, 'a');  // literal, 16,000 bytes
  const auto frame = [&](char type) {
    std::string out;
    for (const int shift : {16, 8, 0}) {
      out.push_back(static_cast<char>(block.size() >> shift));
    }
    out.push_back(type);
    return out + std::string("\0\0\0\0\1", 5) + block;
  };
  std::string bytes = frame(1);
  for (int i = 0; i < 250; ++i) {
    bytes += frame(9);
  }
  return bytes;
}

struct Rogue {
  const char* name;
  Reply reply;
  friend void PrintTo(const Rogue& rogue, std::ostream* out) { *out << rogue.name; }
};

const std::string kSome = grpc_frame(message(5));

const Rogue kRogues[] = {
    {"HangsUp", {.headers = {}, .trailers = std::nullopt, .hang_up = true}},
    {"HangsUpInTheMiddle", {.body = kSome.substr(0, 7), .trailers = std::nullopt, .hang_up = true}},
    {"BytesThatAreNoFrame",
     {.headers = {}, .trailers = std::nullopt, .raw = std::string(64, '\xff'), .hang_up = false}},
    {"AnotherProtocol",
     {.headers = {}, .trailers = std::nullopt, .raw = "HTTP/1.1 400 Bad Request\r\n\r\n"}},
    {"EndlessHeaders", {.headers = {}, .trailers = std::nullopt, .raw = endless_headers()}},
    {"ALongHeader",
     {.headers = {{":status", "200"}, {"x", std::string(70'000, 'a')}}, .body = kSome}},
    {"NoStatus", {.body = kSome, .trailers = Headers{{"x", "y"}}}},
    {"AStatusThatIsNone", {.body = kSome, .trailers = Headers{{"grpc-status", "fine"}}}},
    {"ARefusal",
     {.trailers = Headers{{"grpc-status", "14"}, {"grpc-message", "etcdserver: no%20leader"}}}},
    {"AnUnknownStatus", {.trailers = Headers{{"grpc-status", "4711"}}}},
    {"NoMessage", {}},
    {"TwoMessages", {.body = kSome + kSome}},
    {"AMessageCutOff", {.body = kSome.substr(0, kSome.size() - 1)}},
    {"ACompressedMessage", {.body = std::string("\1\0\0\0\1x", 6)}},
    {"AMessageOfFourGigabytes", {.body = std::string("\0\xff\xff\xff\xff", 5) + "x"}},
    {"NoProtobuf", {.body = grpc_frame(std::string(40, '\xff'))}},
    {"AWebPage",
     {.headers = {{":status", "502"}, {"content-type", "text/html"}}, .body = "<html>"}},
    {"AReset", {.headers = {}, .trailers = std::nullopt, .reset = NGHTTP2_INTERNAL_ERROR}},
    {"ARefusedStream", {.headers = {}, .trailers = std::nullopt, .reset = NGHTTP2_REFUSED_STREAM}},
    {"GoesAway", {.headers = {}, .trailers = std::nullopt, .go_away = true, .hang_up = true}},
};

class EtcdRogue : public FakeEtcdTest, public testing::WithParamInterface<Rogue> {};

// A call fails with a sentence, and the next one works.
TEST_P(EtcdRogue, ACallSaysWhatIsWrong) {
  bool rogue = true;
  FakeEtcd server(loop, [&rogue](const std::string& path, const std::string&) {
    return rogue ? GetParam().reply : honest(path);
  });
  const auto store = open(server);
  const std::string error = error_of(store->config());
  EXPECT_NE(error, "no error");
  EXPECT_NE(error, "");
  rogue = false;
  EXPECT_TRUE(run(store->config()));
}

// A watch, of which either call is answered so three times, delivers everything all the same.
TEST_P(EtcdRogue, AWatchGetsOverIt) {
  for (const char* broken : {kRange, kWatch}) {
    int left = 3;
    FakeEtcd server(loop, [&](const std::string& path, const std::string&) {
      return path == broken && left-- > 0 ? GetParam().reply : honest(path);
    });
    const auto store = open(server);
    const auto watch = store->watch();
    troubles.clear();
    const LeaseUpdate all = run(watch->next());
    EXPECT_TRUE(all.snapshot);
    EXPECT_EQ(key_texts(all.leases), std::set<std::string>{"10.5.9.0-24"});
    LeaseUpdate more = run(watch->next());
    while (more.snapshot) {  // a wrong answer may look like another history
      more = run(watch->next());
    }
    EXPECT_EQ(key_texts(more.leases), std::set<std::string>{"10.5.10.0-24"});
    EXPECT_EQ(troubles.empty() ? "" : troubles.back(), "");
    EXPECT_LE(server.calls(), 9U) << "each failure costs two calls at most";
  }
}

INSTANTIATE_TEST_SUITE_P(Replies, EtcdRogue, testing::ValuesIn(kRogues),
                         [](const auto& info) { return std::string(info.param.name); });

class EtcdLiar : public EtcdRogue {};

// It would be sent again as long as etcd's history has it.
TEST_F(EtcdLiar, AnEventThatCannotBeReadIsFollowedByAList) {
  std::vector<std::string> calls;
  FakeEtcd server(loop, [&](const std::string& path, const std::string&) {
    calls.push_back(path);
    Reply reply = honest(path);
    if (path == kWatch) {
      reply.body =
          kCreated + grpc_frame(put_event("10.5.9.0-24", 5)) + grpc_frame(std::string(40, '\xff'));
    }
    return reply;
  });
  const auto store = open(server);
  const auto watch = store->watch();
  EXPECT_TRUE(run(watch->next()).snapshot);
  EXPECT_TRUE(run(watch->next()).snapshot);
  EXPECT_EQ(calls, (std::vector<std::string>{kRange, kWatch, kWatch, kRange}));
  EXPECT_FALSE(troubles.empty());
}

TEST_F(EtcdLiar, AnEventThatNeverEndsIsGivenUp) {
  least_rate = {.bytes = 1'000, .window = std::chrono::milliseconds(100)};
  int watches = 0;
  FakeEtcd server(loop, [&](const std::string& path, const std::string&) {
    Reply reply = honest(path);
    if (path == kWatch && watches++ == 0) {
      reply.body.pop_back();
    }
    return reply;
  });
  const auto store = open(server);
  const auto watch = store->watch();
  run(watch->next());
  EXPECT_EQ(key_texts(run(watch->next()).leases), std::set<std::string>{"10.5.10.0-24"});
  EXPECT_EQ(watches, 2);
  EXPECT_TRUE(troubles.at(0).starts_with("an event of etcd comes too slowly: ")) << troubles[0];
}

// What the server had is not there any more, although every number is higher: it was wiped, and
// filled again while we could not see it.
TEST_F(EtcdLiar, AnotherHistoryBehindTheSameNumbersIsListedAnew) {
  int watches = 0;
  FakeEtcd server(loop, [&](const std::string& path, const std::string&) {
    if (path == kRange) {
      return honest(path);
    }
    return ++watches > 1
               ? Reply{.body = kCreated + grpc_frame(put_event("10.5.11.0-24", 8)),
                       .trailers = std::nullopt}
               : Reply{.body = kCreated + grpc_frame(put_event("10.5.9.0-24", 5)), .hang_up = true};
  });
  const auto store = open(server);
  const auto watch = store->watch();
  EXPECT_TRUE(run(watch->next()).snapshot);
  EXPECT_TRUE(run(watch->next()).snapshot);
}

// It keeps the connection alive, and that is all.
TEST_F(EtcdLiar, ACallThatIsNotAnsweredEnds) {
  FakeEtcd server(loop,
                  [](const std::string&, const std::string&) { return Reply{.never = true}; });
  const auto store = open(server);
  EXPECT_NE(error_of(store->config()).find("no answer in time"), std::string::npos);
}

// A watch that the server ends (WatchResponse: canceled 4), for what `why` adds.
Reply canceled(const std::function<void(pbf_writer&)>& why) {
  return {.body = kCreated + grpc_frame(message(5,
                                                [&](pbf_writer& writer) {
                                                  writer.add_bool(4, true);
                                                  why(writer);
                                                })),
          .trailers = std::nullopt};
}

TEST_F(EtcdLiar, AWatchThatEndsSaysWhyInPrintableText) {
  FakeEtcd server(loop, [](const std::string& path, const std::string&) -> Reply {
    if (path == kRange) {
      return honest(path);
    }
    return canceled([](pbf_writer& writer) { writer.add_string(6, "no\x1b[2J\nmore"); });
  });
  const auto store = open(server);
  const auto watch = store->watch();
  EXPECT_TRUE(run(watch->next()).snapshot);
  troubles.clear();
  EXPECT_TRUE(run(watch->next()).snapshot);
  EXPECT_EQ(std::ranges::count(troubles, R"(etcd ended the watch: no\x1b[2J\x0amore)"), 1);
}

TEST_F(EtcdLiar, HistoryThatIsLostAgainAndAgainIsOneTrouble) {
  FakeEtcd server(loop, [](const std::string& path, const std::string&) -> Reply {
    if (path == kRange) {
      return honest(path);
    }
    return canceled([](pbf_writer& writer) { writer.add_int64(5, 1'000); });
  });
  const auto store = open(server);
  const auto watch = store->watch();
  for (int i = 0; i < 5; ++i) {
    EXPECT_TRUE(run(watch->next()).snapshot);
  }
  EXPECT_EQ(troubles, std::vector<std::string>{"etcd's history before revision 1000 is compacted"});
}

constexpr const char* kTxn = "/etcdserverpb.KV/Txn";
constexpr const char* kGrant = "/etcdserverpb.Lease/LeaseGrant";

// Answers to acquire(): an empty list, grants of `ttl` seconds, and transactions that succeed.
Reply giving(const std::string& path, std::int64_t ttl) {
  return {.body = grpc_frame(message(5, [&](pbf_writer& writer) {
            if (path == kGrant) {
              writer.add_int64(2, 77);
              writer.add_int64(3, ttl);
            } else if (path == kTxn) {
              writer.add_bool(2, true);
            }
          }))};
}

TEST_F(EtcdLiar, TimesThatNobodyWouldGrantAreBorne) {
  for (const std::int64_t ttl : {INT64_MIN, -5L, 0L, 60L, 9'300'000'000L, INT64_MAX}) {
    FakeEtcd server(loop,
                    [&](const std::string& path, const std::string&) { return giving(path, ttl); });
    const auto store = open(server);
    const Result<Lease> lease = run(store->acquire(request_of("198.18.0.2")));
    ASSERT_TRUE(lease) << lease.error().text;
    EXPECT_GT(*lease->expiry, BootClock::now() - 10s) << ttl;
    EXPECT_LE(*lease->expiry, BootClock::now() + kFarAway) << ttl;
  }
}

// Nobody knows whether it was granted: the same one is asked for again.
TEST_F(EtcdLiar, AGrantThatIsNotAnsweredIsNotAskedForTwice) {
  std::vector<std::string> grants;
  FakeEtcd server(loop, [&](const std::string& path, const std::string& asked) -> Reply {
    if (path == kGrant) {
      grants.push_back(asked);
      if (grants.size() == 1) {
        return {.trailers = Headers{{"grpc-status", "14"}, {"grpc-message", "no leader"}}};
      }
      return {.trailers = Headers{{"grpc-status", "9"},
                                  {"grpc-message", "etcdserver: lease already exists"}}};
    }
    return giving(path, 60);
  });
  const auto store = open(server);
  EXPECT_EQ(error_of(store->acquire(request_of("198.18.0.2"))), "no leader");
  Result<Lease> lease = run(store->acquire(request_of("198.18.0.2")));
  ASSERT_TRUE(lease) << lease.error().text;
  ASSERT_EQ(grants.size(), 2U);
  EXPECT_EQ(grants[0], grants[1]);
  EXPECT_GT(*lease->expiry, BootClock::now() + kLeaseTime - 1min);
  EXPECT_TRUE(run(store->renew(*lease)));
  EXPECT_EQ(grants.size(), 2U) << "half of its time is not over";
}

// Wherever a server may put text, an error quotes it on one line, in printable characters, and in
// part: what else it says is not to be lost.
TEST_F(EtcdLiar, WhatItSaysIsQuotedInPrintableTextAndInPart) {
  for (const std::string& text : hostile_texts()) {
    std::string escaped;
    for (const unsigned char byte : text) {
      escaped += fmt::format("%{:02X}", byte);
    }
    const Reply replies[] = {
        {.trailers = Headers{{"grpc-status", "14"}, {"grpc-message", escaped}}},
        {.headers = {{":status", "200"}, {"content-type", printable(text) + "\xff"}}},
        {.body = grpc_frame(message(
             5, [&](pbf_writer& writer) { writer.add_bytes(4, text.data(), text.size()); }))},
    };
    for (const Reply& reply : replies) {
      FakeEtcd server(loop, [&](const std::string& path, const std::string&) {
        return path == kGrant ? reply : giving(path, 60);
      });
      const auto store = open(server);
      const std::string error = error_of(store->acquire(request_of("198.18.0.2")));
      EXPECT_EQ(printable(error, SIZE_MAX), error);
      EXPECT_LT(error.size(), kLongestQuote);
      EXPECT_NE(error, "no error");
    }
  }
}

// A lease of no time at all is none.
TEST_F(EtcdLiar, ALeaseThatIsNotGrantedIsNotUsed) {
  FakeEtcd server(loop, [](const std::string& path, const std::string&) {
    return path == kRange ? Reply{.body = kSome} : Reply{.body = grpc_frame(message(5))};
  });
  const auto store = open(server);
  EXPECT_EQ(error_of(store->acquire(request_of("198.18.0.2"))), "etcd grants no lease: ");
}

}  // namespace
}  // namespace flannel

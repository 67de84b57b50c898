#include "rpc/http2_session.h"

#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <random>

namespace flannel {
namespace {

// The other end: nghttp2 as a server, in memory.
class Server {
 public:
  Server() {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        callbacks, [](nghttp2_session*, std::uint8_t, std::int32_t, const std::uint8_t* bytes,
                      std::size_t size, void* self) {
          static_cast<Server*>(self)->received.append(reinterpret_cast<const char*>(bytes), size);
          return 0;
        });
    nghttp2_session_server_new(&session_, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session_, 0, nullptr, 0);
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() { nghttp2_session_del(session_); }

  nghttp2_session* get() { return session_; }

  void headers(std::int32_t id, const Headers& headers, bool end) {
    std::vector<nghttp2_nv> lines = to_lines(headers);
    nghttp2_submit_headers(session_, end ? NGHTTP2_FLAG_END_STREAM : 0, id, nullptr, lines.data(),
                           lines.size(), nullptr);
  }

  // Headers, a body, and trailers after it.
  void respond(std::int32_t id, std::string body, const Headers& trailers) {
    body_ = std::move(body);
    trailers_ = trailers;
    const Headers headers = {{":status", "200"}};
    std::vector<nghttp2_nv> lines = to_lines(headers);
    nghttp2_data_provider provider{.source = {.ptr = this}, .read_callback = read_body};
    nghttp2_submit_response(session_, id, lines.data(), lines.size(), &provider);
  }

  std::string received;

 private:
  static std::vector<nghttp2_nv> to_lines(const Headers& headers) {
    std::vector<nghttp2_nv> lines;
    for (const Header& header : headers) {
      lines.push_back({(std::uint8_t*)header.name.data(), (std::uint8_t*)header.value.data(),
                       header.name.size(), header.value.size(), 0});
    }
    return lines;
  }

  static ssize_t read_body(nghttp2_session* session, std::int32_t id, std::uint8_t* buffer,
                           std::size_t size, std::uint32_t* flags, nghttp2_data_source* source,
                           void*) {
    Server& self = *static_cast<Server*>(source->ptr);
    const std::size_t count = std::min(size, self.body_.size());
    self.body_.copy(reinterpret_cast<char*>(buffer), count);
    self.body_.erase(0, count);
    if (self.body_.empty()) {
      *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
      std::vector<nghttp2_nv> lines = to_lines(self.trailers_);
      nghttp2_submit_trailer(session, id, lines.data(), lines.size());
    }
    return static_cast<ssize_t>(count);
  }

  nghttp2_session* session_ = nullptr;
  std::string body_;
  Headers trailers_;
};

class Http2SessionTest : public testing::Test {
 protected:
  // Carries bytes both ways until neither end has more to say.
  void exchange_bytes() {
    for (bool moved = true; moved;) {
      moved = false;
      const std::string up = client.output();
      if (!up.empty()) {
        moved = true;
        const auto* const data = reinterpret_cast<const std::uint8_t*>(up.data());
        ASSERT_GE(nghttp2_session_mem_recv(server.get(), data, up.size()), 0);
      }
      const std::uint8_t* bytes = nullptr;
      for (ssize_t size = 0; (size = nghttp2_session_mem_send(server.get(), &bytes)) > 0;) {
        moved = true;
        client.receive({reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size)});
      }
    }
  }

  Http2Session client{"http", "test"};
  Server server;
};

TEST_F(Http2SessionTest, AnAnswerHasHeadersBodyAndTrailers) {
  const auto exchange = client.open({.method = "POST", .path = "/x", .body = "question"});
  exchange_bytes();
  EXPECT_EQ(server.received, "question");
  EXPECT_FALSE(exchange->headers_complete);
  server.respond(exchange->id, "answer", {{"grpc-status", "0"}});
  exchange_bytes();
  EXPECT_EQ(find_header(exchange->headers, ":status"), "200");
  EXPECT_EQ(exchange->incoming, "answer");
  EXPECT_EQ(find_header(exchange->trailers, "grpc-status"), "0");
  EXPECT_TRUE(exchange->ended);
  EXPECT_TRUE(exchange->closed);
  EXPECT_EQ(client.open_exchanges(), 0U);
}

TEST_F(Http2SessionTest, ABodyCanBeWrittenLater) {
  const auto exchange = client.open({.method = "POST", .path = "/x", .end = false});
  exchange_bytes();
  exchange->outgoing = "later";
  client.resume(*exchange);
  exchange_bytes();
  EXPECT_EQ(server.received, "later");
}

TEST_F(Http2SessionTest, WhatNobodyReadsStopsAtTheStreamsWindow) {
  const auto exchange = client.open({.path = "/big"});
  exchange_bytes();
  constexpr std::size_t kSize = 3 << 20;
  server.respond(exchange->id, std::string(kSize, 'x'), {{"done", "1"}});
  exchange_bytes();
  EXPECT_EQ(exchange->incoming.size(), std::size_t{1} << 20);
  std::size_t total = 0;
  while (!exchange->incoming.empty()) {
    const std::size_t count = std::exchange(exchange->incoming, {}).size();
    total += count;
    client.consume(*exchange, count);
    exchange_bytes();
  }
  EXPECT_EQ(total, kSize);
  EXPECT_TRUE(exchange->ended);
}

TEST_F(Http2SessionTest, AStreamNobodyReadsDoesNotStallAnother) {
  const auto stalled = client.open({.path = "/a"});
  exchange_bytes();
  server.respond(stalled->id, std::string(2 << 20, 'x'), {{"done", "1"}});
  exchange_bytes();
  const auto other = client.open({.path = "/b"});
  exchange_bytes();
  server.headers(other->id, {{":status", "204"}}, true);
  exchange_bytes();
  EXPECT_TRUE(other->ended);
  EXPECT_FALSE(stalled->ended);
}

TEST_F(Http2SessionTest, InformationalHeadersAreNotTheAnswer) {
  const auto exchange = client.open({.path = "/"});
  exchange_bytes();
  server.headers(exchange->id, {{":status", "103"}}, false);
  exchange_bytes();
  EXPECT_FALSE(exchange->headers_complete);
  server.headers(exchange->id, {{":status", "200"}}, true);
  exchange_bytes();
  EXPECT_EQ(exchange->headers, (Headers{{":status", "200"}}));
}

TEST_F(Http2SessionTest, GoawayDrainsAndMarksWhatWasNotSent) {
  const auto early = client.open({.path = "/early"});
  exchange_bytes();
  nghttp2_submit_goaway(server.get(), 0, early->id, NGHTTP2_NO_ERROR, nullptr, 0);
  const auto late = client.open({.path = "/late"});  // not on its way yet when GOAWAY arrives
  const std::uint8_t* bytes = nullptr;
  const ssize_t size = nghttp2_session_mem_send(server.get(), &bytes);
  client.receive({reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size)});
  EXPECT_TRUE(client.draining());
  server.respond(early->id, "still answered", {{"done", "1"}});
  exchange_bytes();
  EXPECT_EQ(early->incoming, "still answered");
  EXPECT_TRUE(late->closed);
  EXPECT_TRUE(late->never_sent || late->error_code == NGHTTP2_REFUSED_STREAM);
}

TEST_F(Http2SessionTest, TooManyHeaderBytesResetOneStreamOnly) {
  const auto flooded = client.open({.path = "/flood"});
  const auto other = client.open({.path = "/"});
  exchange_bytes();
  Headers headers = {{":status", "200"}};
  for (int i = 0; i < 50; ++i) {
    headers.push_back({"x-flood", std::string(1200, static_cast<char>('a' + i % 26))});
  }
  server.headers(flooded->id, headers, false);
  exchange_bytes();
  headers.resize(1);
  headers.resize(30, {"x-flood", std::string(1500, 'z')});
  server.headers(flooded->id, headers, true);
  exchange_bytes();
  EXPECT_LE(flooded->header_bytes, std::size_t{70} << 10);
  server.headers(other->id, {{":status", "200"}}, true);
  exchange_bytes();
  EXPECT_TRUE(other->ended);
}

TEST_F(Http2SessionTest, AnAbandonedExchangeIsReset) {
  const auto exchange = client.open({.method = "POST", .path = "/", .end = false});
  exchange_bytes();
  client.abandon(*exchange);
  exchange_bytes();
  EXPECT_TRUE(exchange->closed);
  EXPECT_EQ(client.open_exchanges(), 0U);
}

TEST_F(Http2SessionTest, AFailedConnectionEndsEveryExchange) {
  const auto exchange = client.open({.path = "/"});
  client.fail("10.0.0.1:1: gone");
  EXPECT_TRUE(exchange->closed);
  EXPECT_EQ(exchange->failure, "10.0.0.1:1: gone");
}

TEST(Http2Session, RefusesBytesThatAreNotHttp2) {
  Http2Session client("http", "test");
  client.receive("HTTP/1.1 400 Bad Request\r\n\r\nmore text that is no frame");
  EXPECT_THROW(client.output(), std::runtime_error);
}

std::string frame(std::uint8_t type, std::uint8_t flags, char stream, const std::string& payload) {
  std::string out = {'\0',
                     '\0',
                     static_cast<char>(payload.size()),
                     static_cast<char>(type),
                     static_cast<char>(flags),
                     '\0',
                     '\0',
                     '\0',
                     stream};
  return out + payload;
}

// Frames that are right each by itself, carry nothing, and never end.
TEST_F(Http2SessionTest, FramesThatCarryNothingEndIt) {
  for (const std::string& noise :
       {frame(0, 0, 1, ""), frame(0, 8, 1, std::string(1, 100) + std::string(100, '\0')),
        frame(2, 0, 1, std::string("\0\0\0\0\1", 5)), frame(0xa, 0, 1, std::string("\0\1ax", 4)),
        frame(0xbb, 0, 0, "unknown"), frame(8, 0, 0, std::string("\0\0\0\1", 4))}) {
    Http2Session lonely("http", "test");
    const auto exchange = lonely.open({.path = "/"});
    lonely.output();
    lonely.receive(frame(4, 0, 0, ""));
    lonely.receive(frame(1, 4, 1, "\x88"));  // HEADERS: `:status: 200`
    std::string text;
    std::size_t sent = 0;
    try {
      for (; sent < (std::size_t{1} << 20); sent += noise.size()) {
        lonely.receive(noise);
        lonely.output();
      }
    } catch (const std::runtime_error& error) {
      text = error.what();
    }
    EXPECT_FALSE(text.empty()) << int{noise[3]};
    EXPECT_LT(sent, std::size_t{512} << 10);
  }
}

// As the events of a watch that is given up for another one.
TEST_F(Http2SessionTest, WhatWasUnderWayToAnAbandonedExchangeIsNoNoise) {
  const std::shared_ptr<Http2Exchange> exchange = client.open({.path = "/"});
  client.output();
  client.receive(frame(4, 0, 0, ""));
  client.receive(frame(1, 4, 1, "\x88"));
  client.abandon(*exchange);
  client.output();
  const std::string data = frame(0, 0, 1, std::string(200, 'x'));
  const auto receive = [&](std::size_t count) {
    for (; count > 0; --count) {
      client.receive(data);
      client.output();
    }
  };
  EXPECT_NO_THROW(receive(5'000)) << "no more than the stream's window";
  EXPECT_THROW(receive(5'000), std::runtime_error);
}

// More than the stream's window, so that what nobody reads is given back to it.
TEST_F(Http2SessionTest, WhatIsPassedOverIsNotKeptAndNothingBehindWhatIs) {
  const std::shared_ptr<Http2Exchange> exchange = client.open({.path = "/"});
  client.output();
  client.receive(frame(4, 0, 0, ""));
  client.receive(frame(1, 4, 1, "\x88"));
  std::size_t passed = 0;
  exchange->pass_over = [&](std::string_view bytes) {
    const std::size_t count = std::min(bytes.find('!'), bytes.size());
    passed += count;
    return PassedOver{.bytes = count};
  };
  const std::string data = frame(0, 0, 1, std::string(200, 'x'));
  std::string sent_back;
  for (int i = 0; i < 10'000; ++i) {
    client.receive(data);
    sent_back += client.output();
  }
  EXPECT_EQ(passed, 2'000'000U);
  EXPECT_EQ(exchange->incoming, "");
  EXPECT_TRUE(sent_back.contains(std::string("\0\0\4\x8\0\0\0\0\1", 9))) << "WINDOW_UPDATE";
  client.receive(frame(0, 0, 1, "xx!x"));
  client.receive(frame(0, 0, 1, "xx"));
  EXPECT_EQ(exchange->incoming, "!xxx");
  EXPECT_EQ(passed, 2'000'002U);
}

// As an API server sends what is longer than the 4 kB of its buffer (golang.org/x/net/http2,
// handlerChunkWriteSize).
TEST_F(Http2SessionTest, WhatIsIncompleteWaitsForTheRestAndWakesNobody) {
  const std::shared_ptr<Http2Exchange> exchange = client.open({.path = "/"});
  client.output();
  client.receive(frame(4, 0, 0, "") + frame(1, 4, 1, "\x88"));
  // Words that end in a dot are dealt with, others are not.
  exchange->pass_over = [](std::string_view bytes) {
    const std::size_t end = bytes.rfind('.');
    return PassedOver{.bytes = end == std::string_view::npos ? 0 : end + 1,
                      .is_incomplete = !bytes.ends_with('!')};
  };
  asio::io_context loop;
  unsigned woken = 0;
  asio::co_spawn(
      loop,
      [&]() -> Task<void> {
        for (;;) {
          co_await exchange->changed.wait();
          ++woken;
        }
      },
      asio::detached);
  loop.poll();
  const auto receive = [&](const std::string& bytes) {
    client.receive(frame(0, 0, 1, bytes));
    loop.restart();
    loop.poll();
  };
  for (const char* part : {"one.tw", "o", ".three", ".fou"}) {
    receive(part);
  }
  EXPECT_EQ(exchange->incoming, "fou");
  EXPECT_EQ(woken, 0U);
  receive("r!");
  EXPECT_EQ(exchange->incoming, "four!");
  EXPECT_EQ(woken, 1U);
  exchange->incoming.clear();
  for (int i = 0; i < 200; ++i) {
    receive(std::string(200, 'x'));
  }
  EXPECT_GT(woken, 1U) << "it is not kept without end";
}

TEST_F(Http2SessionTest, SmallAnswersAreNoNoise) {
  const auto exchange = client.open({.path = "/"});
  client.output();
  client.receive(frame(4, 0, 0, ""));
  client.receive(frame(1, 4, 1, "\x88"));
  for (int i = 0; i < 100'000; ++i) {
    client.receive(frame(0, 0, 1, "\1\2\3\4\5"));
    client.consume(*exchange, std::exchange(exchange->incoming, {}).size());
    client.output();
    if (i % 20'000 == 0) {
      client.new_second();
    }
  }
  EXPECT_FALSE(exchange->closed);
}

TEST(Http2Session, SurvivesJunk) {
  std::minstd_rand random(1);
  for (int round = 0; round < 500; ++round) {
    Http2Session client("http", "test");
    const auto exchange = client.open({.path = "/"});
    client.output();
    std::string junk(random() % 600, '\0');
    for (char& c : junk) {
      c = static_cast<char>(random() % 4 == 0 ? random() : random() % 10);
    }
    try {
      client.receive(junk);
      client.output();
    } catch (const std::runtime_error&) {
      client.fail("junk");
    }
  }
}

}  // namespace
}  // namespace flannel

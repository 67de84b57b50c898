#include "rpc/proxy.h"

#include <boost/asio/read_until.hpp>

#include "rpc/http2_client_fixture.h"

namespace flannel {
namespace {

TEST(ProxyTest, IsParsedAndItsErrorsHaveNoPassword) {
  EXPECT_EQ(parse_proxy("proxy.test"), (Proxy{"proxy.test", 80, ""}));
  EXPECT_EQ(parse_proxy("http://[fd99::1]:3128/"), (Proxy{"fd99::1", 3128, ""}));
  EXPECT_EQ(parse_proxy("HTTP://u:p%40%2fw@proxy.test:8080"),
            (Proxy{"proxy.test", 8080, "Basic dTpwQC93"}));
  EXPECT_EQ(parse_proxy("u@proxy.test")->authorization, "Basic dTo=");
  for (const char* url :
       {"", "http://", "https://u:geheim@p", "socks5://u:geheim@p:1", "http://u:geheim@p:0",
        "http://u:geheim%@p", "http://u:geheim/@p:1", "geheim://u:x@p"}) {
    const Result<Proxy> proxy = parse_proxy(url);
    ASSERT_FALSE(proxy) << url;
    EXPECT_FALSE(proxy.error().text.contains("geheim")) << proxy.error().text;
  }
}

TEST(ProxyTest, WhatHasNone) {
  const auto direct = [](std::string_view list, const std::string& host) {
    return is_without_proxy(list, {.host = host, .port = 443, .tls = true});
  };
  for (const char* host : {"localhost", "127.0.0.1", "::1"}) {
    EXPECT_TRUE(direct("", host));
  }
  EXPECT_FALSE(direct("", "kube.test"));
  EXPECT_TRUE(direct("a, *", "kube.test"));
  EXPECT_TRUE(direct("a,Kube.Test", "kube.TEST"));
  EXPECT_TRUE(direct("test", "kube.test"));
  EXPECT_FALSE(direct("est", "kube.test"));
  EXPECT_TRUE(direct(".test", "kube.test"));
  EXPECT_TRUE(direct("*.test", "kube.test"));
  EXPECT_FALSE(direct(".kube.test", "kube.test"));
  EXPECT_TRUE(direct("kube.test:443", "kube.test"));
  EXPECT_FALSE(direct("kube.test:6443", "kube.test"));
  EXPECT_TRUE(direct("10.96.0.0/12", "10.96.0.1"));
  EXPECT_FALSE(direct("10.96.0.0/12,10.0.0.0/x", "10.0.0.1"));
  EXPECT_TRUE(direct("10.96.0.1", "10.96.0.1"));
  EXPECT_FALSE(direct("10.96.0.1:80", "10.96.0.1"));
  EXPECT_TRUE(direct("fd99::1", "fd99::1"));
  EXPECT_TRUE(direct("[fd99::1]:443", "fd99::1"));
  EXPECT_FALSE(direct("[fd99::1]:80", "fd99::1"));
  EXPECT_FALSE(direct(":443,[,]", "fd99::1"));
}

TEST(ProxyTest, AnswersAreUnderstood) {
  EXPECT_TRUE(check_connect_answer("HTTP/1.0 200 OK\r\n\r\n"));
  EXPECT_TRUE(check_connect_answer("HTTP/1.1 200\r\nVia: x\r\n\r\n"));
  EXPECT_EQ(check_connect_answer("HTTP/1.1 403 Forbidden\r\n\r\n").error().text,
            "it says \"HTTP/1.1 403 Forbidden\"");
  EXPECT_EQ(check_connect_answer("HTTP/1.1 407 Who?\r\n\r\n").error().text,
            "it says \"HTTP/1.1 407 Who?\": user and password belong into its URL");
  for (const char* text : {"", "HTTP/1.", "HTTP/1.1200 OK", "SSH-2.0\r\n", "\r\n\r\n"}) {
    EXPECT_FALSE(check_connect_answer(text)) << text;
  }
}

// A proxy that takes `head` of who connects, and answers; then it hands on in both directions, or
// ends with what comes next where there is no port to connect to.
class FakeProxy {
 public:
  FakeProxy(asio::io_context& loop, std::string answer, std::uint16_t to)
      : loop_(loop),
        acceptor_(loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
        answer_(std::move(answer)),
        to_(to) {
    asio::co_spawn(loop, serve(), asio::detached);
  }
  std::uint16_t port() const { return acceptor_.local_endpoint().port(); }

  std::string head;

 private:
  Task<void> serve() {
    tcp::socket client = co_await acceptor_.async_accept(asio::use_awaitable);
    co_await asio::async_read_until(client, asio::dynamic_buffer(head), "\r\n\r\n",
                                    asio::use_awaitable);
    co_await asio::async_write(client, asio::buffer(answer_), asio::use_awaitable);
    if (to_ == 0) {
      co_await client.async_wait(tcp::socket::wait_read, asio::use_awaitable);
      co_return;
    }
    const tcp::endpoint address(asio::ip::address_v4::loopback(), to_);
    tcp::socket server(loop_);
    co_await server.async_connect(address, asio::use_awaitable);
    const auto from = std::make_shared<tcp::socket>(std::move(client));
    const auto to = std::make_shared<tcp::socket>(std::move(server));
    asio::co_spawn(loop_, pass_on(from, to), asio::detached);
    asio::co_spawn(loop_, pass_on(to, from), asio::detached);
  }
  static Task<void> pass_on(std::shared_ptr<tcp::socket> from, std::shared_ptr<tcp::socket> to) {
    std::string bytes(1000, 0);
    try {
      for (;;) {
        const std::size_t count =
            co_await from->async_read_some(asio::buffer(bytes), asio::use_awaitable);
        co_await asio::async_write(*to, asio::buffer(bytes, count), asio::use_awaitable);
      }
    } catch (const boost::system::system_error&) {
      to->close();
    }
  }

  asio::io_context& loop_;
  tcp::acceptor acceptor_;
  std::string answer_;
  std::uint16_t to_;
};

class ProxyClientTest : public Http2ClientTest {
 protected:
  std::string by(FakeProxy& proxy) {
    Http2Client client(loop.get_executor(),
                       {{.host = "kube.test",
                         .port = 6443,
                         .proxy = Proxy{"127.0.0.1", proxy.port(), "Basic dTpw"}}},
                       nullptr,
                       {.ping_after = std::chrono::milliseconds(20),
                        .pong_within = std::chrono::milliseconds(20)});
    return outcome(client);
  }

  Listener server{loop, kSettings};
  const std::uint16_t port = server.endpoint().port;
};

// The server speaks first, and what it says comes with the proxy's answer.
TEST_F(ProxyClientTest, ConnectsByAProxy) {
  FakeProxy proxy(loop, "HTTP/1.1 200 Connection established\r\nVia: 1.1 p\r\n\r\n", port);
  EXPECT_EQ(by(proxy), "kube.test:6443: no sign of life for 40 ms");
  EXPECT_EQ(server.connections(), 1);
  EXPECT_EQ(proxy.head,
            "CONNECT kube.test:6443 HTTP/1.1\r\nHost: kube.test:6443\r\n"
            "Proxy-Authorization: Basic dTpw\r\n\r\n");
}

TEST_F(ProxyClientTest, SaysWhatAProxySaysThatDoesNot) {
  FakeProxy refusing(loop, "HTTP/1.1 503 no way\r\n\r\n", port);
  EXPECT_EQ(by(refusing),
            fmt::format("connect to kube.test:6443 by the proxy 127.0.0.1:{}: it says "
                        "\"HTTP/1.1 503 no way\"",
                        refusing.port()));
  FakeProxy dying(loop, "HTTP/1.1 200 OK\r\n\r\n", 0);
  const std::string end = by(dying);
  EXPECT_TRUE(
      end.starts_with(fmt::format("kube.test:6443 by the proxy 127.0.0.1:{}: ", dying.port())))
      << end;
  FakeProxy endless(loop, std::string(20'000, 'x'), port);
  EXPECT_TRUE(by(endless).contains("it is no HTTP proxy: \"xxx"));
}

}  // namespace
}  // namespace flannel

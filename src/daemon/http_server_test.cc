#include "daemon/http_server.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <system_error>

#include "base/directory_fixture.h"

namespace flannel {
namespace {

using namespace std::chrono_literals;

// One connection to a server that says which page was asked for.
class HttpServer : public testing::Test {
 protected:
  void SetUp() override {
    const std::string path = directory_.file("socket");
    const auto pages = [](std::string_view page) -> std::optional<HttpReply> {
      if (page == "/plan") {
        throw std::system_error(EINTR, std::generic_category(), "no complete list of\nlinks");
      }
      return HttpReply{.body = std::string(page)};
    };
    ASSERT_TRUE(serve_unix(io_.get_executor(), path, pages));
    client_.connect(path);
  }

  void send(const std::string& text) {
    asio::write(client_, asio::buffer(text));
    io_.run_for(20ms);
  }
  std::string reply() {
    for (int tries = 0; client_.available() == 0 && tries < 100; ++tries) {
      io_.run_for(50ms);
    }
    std::string reply(client_.available(), 0);
    client_.read_some(asio::buffer(reply));
    return reply;
  }
  std::string ask(const std::string& target) {
    send("GET " + target + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
    return reply();
  }
  bool is_closed() {
    io_.run_for(50ms);
    client_.non_blocking(true);
    char byte = 0;
    boost::system::error_code error;
    client_.read_some(asio::buffer(&byte, 1), error);
    return error == asio::error::eof || error == asio::error::connection_reset;
  }

 private:
  const TestDirectory directory_;
  asio::io_context io_;
  asio::local::stream_protocol::socket client_{io_};
};

TEST_F(HttpServer, APageThatFailsSaysWhyAndTheConnectionLives) {
  const std::string failed = ask("/plan");
  EXPECT_TRUE(failed.starts_with("HTTP/1.1 503 ")) << failed;
  EXPECT_TRUE(failed.ends_with("no complete list of\\x0alinks: Interrupted system call\n"))
      << failed;
  const std::string well = ask("/status");
  EXPECT_TRUE(well.starts_with("HTTP/1.1 200 ")) << well;
  EXPECT_TRUE(well.ends_with("\r\n\r\n/status")) << well;
}

TEST_F(HttpServer, ATargetMayHaveAQueryOrBeAWholeUrl) {
  EXPECT_TRUE(ask("/status?verbose").ends_with("\r\n\r\n/status"));
  EXPECT_TRUE(ask("http://node:8081/status?x=/y").ends_with("\r\n\r\n/status"));
}

TEST_F(HttpServer, RequestsComeInPiecesOrSeveralAtOnce) {
  send("GET /a HTTP/1.1\r\nHo");
  send("st: localhost\r\n\r");
  send("\nGET /b HTTP/1.1\r\nHost: localhost\r\n\r\nHEAD /c HTTP/1.1\r\n");
  const std::string two = reply();
  EXPECT_NE(two.find("\r\n\r\n/aHTTP/1.1 200"), std::string::npos) << two;
  EXPECT_TRUE(two.ends_with("\r\n\r\n/b")) << two;
  send("Host: localhost\r\n\r\n");
  const std::string head = reply();
  EXPECT_NE(head.find("Content-Length: 2\r\n"), std::string::npos) << head;
  EXPECT_TRUE(head.ends_with("\r\n\r\n")) << head;
}

TEST(ListenAddress, IsReadAsGoPrograms) {
  const std::pair<const char*, ListenAddress> good[] = {
      {"198.51.100.1:9100", {"198.51.100.1", 9100}},
      {"[fd99::1]:9100", {"fd99::1", 9100}},
      {"[::]:1", {"::", 1}},
      {"localhost:65535", {"localhost", 65535}},
      {":9100", {"", 9100}},
  };
  for (const auto& [text, address] : good) {
    const Result<ListenAddress> parsed = parse_listen_address(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(*parsed, address) << text;
  }
  for (const char* text : {"",
                           "9100",
                           ":",
                           "a:",
                           "a:0",
                           "a:65536",
                           "a:-1",
                           "a:+1",
                           "a:9100x",
                           "fd99::1",
                           "fd99::1:9100",
                           "[fd99::1]",
                           "[fd99::1:9100",
                           "fd99::1]:9100",
                           "[a]:9100",
                           "[]:9100",
                           "[1.2.3.4]:9100",
                           "a[:9100",
                           "256.1.1.1:9100",
                           "1.2.3:9100",
                           "[fe80::1%eth0]:9100",
                           "http://a:9100",
                           "a:9100\n"}) {
    EXPECT_FALSE(parse_listen_address(text)) << text;
  }
  EXPECT_EQ(parse_listen_address("[fe80::1%eth0]:9100").error().text,
            "[fe80::1%eth0]:9100: an address with a zone is not taken");
  EXPECT_EQ(parse_listen_address("256.1.1.1:9100").error().text, "256.1.1.1:9100: no IPv4 address");
}

TEST_F(HttpServer, ABodyEndsTheConnection) {
  send("POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nx");
  EXPECT_TRUE(is_closed());
}

TEST_F(HttpServer, TooLongARequestEndsTheConnection) {
  send("GET /a HTTP/1.1\r\nX: " + std::string(20'000, 'x'));
  EXPECT_TRUE(is_closed());
}

}  // namespace
}  // namespace flannel

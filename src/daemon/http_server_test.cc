#include "daemon/http_server.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>
#include <filesystem>
#include <system_error>

namespace flannel {
namespace {

using namespace std::chrono_literals;

TEST(HttpServer, APageThatFailsSaysWhyAndTheConnectionLives) {
  char pattern[] = "/tmp/flannel-http.XXXXXX";
  const std::filesystem::path folder = ::mkdtemp(pattern);
  const std::string path = folder / "socket";
  asio::io_context io;
  const auto pages = [](std::string_view page) -> std::optional<HttpReply> {
    if (page == "/plan") {
      throw std::system_error(EINTR, std::generic_category(), "no complete list of\nlinks");
    }
    return HttpReply{.body = "well"};
  };
  ASSERT_TRUE(serve_unix(io.get_executor(), path, pages));
  asio::local::stream_protocol::socket client(io);
  client.connect(path);
  const auto ask = [&](const std::string& page) {
    asio::write(client, asio::buffer("GET " + page + " HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    for (int tries = 0; client.available() == 0 && tries < 100; ++tries) {
      io.run_for(50ms);
    }
    std::string reply(client.available(), 0);
    client.read_some(asio::buffer(reply));
    return reply;
  };
  const std::string failed = ask("/plan");
  EXPECT_TRUE(failed.starts_with("HTTP/1.1 503 ")) << failed;
  EXPECT_TRUE(failed.ends_with("no complete list of\\x0alinks: Interrupted system call\n"))
      << failed;
  const std::string well = ask("/status");
  EXPECT_TRUE(well.starts_with("HTTP/1.1 200 ")) << well;
  EXPECT_TRUE(well.ends_with("\r\n\r\nwell")) << well;
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace flannel

// Servers of a few bytes, and what a request to them ends with.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <string>
#include <utility>
#include <vector>

#include "base/loop_fixture.h"
#include "rpc/http2_client.h"

namespace flannel {

using asio::ip::tcp;

// A server that says `greeting` to whoever connects, and then nothing: it only counts.
class Listener {
 public:
  Listener(asio::io_context& loop, std::string greeting, bool hang_up = false)
      : acceptor_(loop, tcp::endpoint(asio::ip::address_v4::loopback(), 0)),
        greeting_(std::move(greeting)),
        hang_up_(hang_up) {
    asio::co_spawn(loop, serve(), asio::detached);
  }

  Endpoint endpoint() const {
    return {.host = "127.0.0.1", .port = acceptor_.local_endpoint().port()};
  }
  int connections() const { return connections_; }
  void close() { acceptor_.close(); }

 private:
  Task<void> serve() {
    for (;;) {
      tcp::socket socket = co_await acceptor_.async_accept(asio::use_awaitable);
      ++connections_;
      co_await asio::async_write(socket, asio::buffer(greeting_), asio::use_awaitable);
      if (!hang_up_) {
        sockets_.push_back(std::move(socket));
      }
    }
  }

  tcp::acceptor acceptor_;
  std::string greeting_;
  bool hang_up_;
  int connections_ = 0;
  std::vector<tcp::socket> sockets_;
};

// A SETTINGS frame without settings: enough of a server to be spoken to.
inline const std::string kSettings("\0\0\0\4\0\0\0\0\0", 9);

class Http2ClientTest : public LoopTest {
 protected:
  // What a request ended with.
  std::string outcome(Http2Client& client,
                      std::chrono::milliseconds within = std::chrono::seconds(10)) {
    try {
      return std::to_string(run(ask(client, std::chrono::steady_clock::now() + within)));
    } catch (const std::exception& error) {
      return error.what();
    }
  }

  static Task<int> ask(Http2Client& client, Deadline deadline) {
    Http2Request request{.path = "/"};
    Http2Stream stream = co_await client.request(std::move(request), deadline);
    co_await stream.response(deadline);
    co_return stream.status();
  }
};

}  // namespace flannel

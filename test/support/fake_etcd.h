// An etcd that does what a real one will not: it answers a call with anything, down to the bytes.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "rpc/http2_session.h"

namespace flannel {

class FakeEtcd {
 public:
  // What one call is answered with, in this order; what is not there is not sent.
  struct Reply {
    Headers headers = {{":status", "200"}, {"content-type", "application/grpc"}};
    std::string body;  // DATA, e.g. of grpc_frame()
    std::optional<Headers> trailers = Headers{{"grpc-status", "0"}};
    std::string raw;          // bytes behind it, no matter what HTTP/2 says
    bool go_away = false;     // GOAWAY
    std::uint32_t reset = 0;  // RST_STREAM with this error code
    bool hang_up = false;     // the connection's end
    bool never = false;       // no answer at all
  };
  // By the call's path, e.g. `/etcdserverpb.KV/Range`, and its first message.
  using Answer = std::function<Reply(const std::string& path, const std::string& message)>;

  // On a port of its own on 127.0.0.1. `loop` outlives it.
  FakeEtcd(asio::io_context& loop, Answer answer);
  FakeEtcd(const FakeEtcd&) = delete;
  FakeEtcd& operator=(const FakeEtcd&) = delete;
  ~FakeEtcd();

  std::string url() const;
  unsigned calls() const { return *calls_; }

 private:
  class Connection;

  static Task<void> serve(std::shared_ptr<asio::ip::tcp::acceptor> acceptor, Answer answer,
                          std::shared_ptr<unsigned> calls);

  std::shared_ptr<asio::ip::tcp::acceptor> acceptor_;
  std::shared_ptr<unsigned> calls_ = std::make_shared<unsigned>(0);
};

}  // namespace flannel

// An etcd that does what a real one will not: it answers a call with anything, down to the bytes.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <optional>
#include <string>

#include "test/support/fake_http2_server.h"

namespace flannel {

class FakeEtcd {
 public:
  // As FakeHttp2Server's; without trailers the stream stays open.
  struct Reply {
    Headers headers = {{":status", "200"}, {"content-type", "application/grpc"}};
    std::string body;  // DATA, e.g. of grpc_frame()
    std::optional<Headers> trailers = Headers{{"grpc-status", "0"}};
    std::string raw;
    bool go_away = false;
    std::uint32_t reset = 0;
    bool hang_up = false;
    bool never = false;
  };
  // By the call's path, e.g. `/etcdserverpb.KV/Range`, and its first message.
  using Answer = std::function<Reply(const std::string& path, const std::string& message)>;

  // On a port of its own on 127.0.0.1. `loop` outlives it.
  FakeEtcd(asio::io_context& loop, Answer answer)
      : server_(loop, [answer = std::move(answer)](const FakeHttp2Server::Request& request) {
          constexpr std::size_t kFrame = 5;  // gRPC's prefix; calls here are one frame
          Reply reply = answer(std::string(request.path()),
                               request.body.substr(std::min(request.body.size(), kFrame)));
          return FakeHttp2Server::Reply{.headers = std::move(reply.headers),
                                        .body = std::move(reply.body),
                                        .trailers = std::move(reply.trailers),
                                        .end = false,
                                        .raw = std::move(reply.raw),
                                        .go_away = reply.go_away,
                                        .reset = reply.reset,
                                        .hang_up = reply.hang_up,
                                        .never = reply.never};
        }) {}

  std::string url() const { return server_.url(); }
  unsigned calls() const { return server_.requests(); }

 private:
  FakeHttp2Server server_;
};

}  // namespace flannel

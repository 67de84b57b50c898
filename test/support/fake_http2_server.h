// A server that answers a request with anything, down to the bytes, as a real one will not.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "rpc/http2_session.h"

namespace flannel {

class FakeHttp2Server {
 public:
  struct Request {
    Headers headers;   // `:method` and `:path` among them
    std::string body;  // its first DATA frame
    std::string_view method() const { return find_header(headers, ":method"); }
    std::string_view path() const { return find_header(headers, ":path"); }
  };

  // What one request is answered with, in this order; what is not there is not sent.
  struct Reply {
    Headers headers = {{":status", "200"}, {"content-type", "application/json"}};
    std::string body = {};
    std::optional<Headers> trailers = {};
    bool end = true;          // of the stream behind the body, where there are no trailers
    std::string raw = {};     // bytes behind it, no matter what HTTP/2 says
    bool go_away = false;     // GOAWAY
    std::uint32_t reset = 0;  // RST_STREAM with this error code
    bool hang_up = false;     // the connection's end
    bool never = false;       // no answer at all
  };
  // Asked when a request's first DATA is there, or its end.
  using Answer = std::function<Reply(const Request&)>;

  // On a port of its own on 127.0.0.1. `loop` outlives it.
  FakeHttp2Server(asio::io_context& loop, Answer answer);
  FakeHttp2Server(const FakeHttp2Server&) = delete;
  FakeHttp2Server& operator=(const FakeHttp2Server&) = delete;
  ~FakeHttp2Server();

  std::string url() const;
  unsigned requests() const;
  unsigned connections() const;
  // More of the body of each answer that was begun with `end` false; `end`: and that was all.
  void send(std::string_view bytes, bool end = false);

 private:
  class Connection;
  struct State;

  static Task<void> serve(std::shared_ptr<State> state);

  std::shared_ptr<State> state_;
};

}  // namespace flannel

// The caller's end of one HTTP/2 request.
#pragma once

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "rpc/http2_session.h"

namespace flannel {

class Http2Connection;

// The server gave up this one request.
struct StreamReset : std::runtime_error {
  StreamReset(const std::string& text, bool refused) : std::runtime_error(text), refused(refused) {}
  bool refused;  // it was not looked at: safe to send again
};

// Nothing came in time.
struct DeadlineExceeded : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Dropping it cancels the request. Each wait ends at the deadline with DeadlineExceeded, or throws
// ConnectionError or StreamReset when no more can come.
class Http2Stream {
 public:
  Http2Stream(std::shared_ptr<Http2Connection> connection, std::shared_ptr<Http2Exchange> exchange)
      : connection_(std::move(connection)), exchange_(std::move(exchange)) {}
  Http2Stream(Http2Stream&&) = default;
  Http2Stream& operator=(Http2Stream&&) = delete;
  ~Http2Stream();

  // Waits for the response's headers.
  Task<void> response(Deadline deadline = kNever);
  // 0 before response() is through.
  int status() const;
  const Headers& headers() const { return exchange_->headers; }

  // The next bytes of the body; empty at its end, when trailers() are there.
  Task<std::string> read(Deadline deadline = kNever);
  const Headers& trailers() const { return exchange_->trailers; }
  // Bytes that wait for read() are shown to `filter` first, by whom they are read off the
  // connection: what it deals with nobody is woken for, and read() never sees. It must not throw,
  // and is called for as long as the stream is there.
  void pass_over(PassOver filter) { exchange_->pass_over = std::move(filter); }

  // More of the request's body; `end` says that it was the last.
  void write(std::string_view bytes, bool end = false);

 private:
  Task<void> wait(Deadline deadline);
  [[noreturn]] void throw_broken() const;

  std::shared_ptr<Http2Connection> connection_;
  std::shared_ptr<Http2Exchange> exchange_;
};

}  // namespace flannel

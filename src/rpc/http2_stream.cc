#include "rpc/http2_stream.h"

#include <fmt/core.h>
#include <nghttp2/nghttp2.h>

#include <charconv>

#include "rpc/http2_connection.h"

namespace flannel {

Http2Stream::~Http2Stream() {
  if (exchange_ && !exchange_->closed) {
    connection_->session_.abandon(*exchange_);
    connection_->wake_writer();
  }
}

Task<void> Http2Stream::wait(Deadline deadline) {
  if (std::chrono::steady_clock::now() >= deadline) {
    throw DeadlineExceeded(fmt::format("{}: no answer in time", connection_->authority_));
  }
  co_await exchange_->changed.wait(deadline);
}

void Http2Stream::throw_broken() const {
  if (!exchange_->failure.empty()) {
    throw ConnectionError(exchange_->failure);
  }
  const std::uint32_t code = exchange_->never_sent ? NGHTTP2_REFUSED_STREAM : exchange_->error_code;
  throw StreamReset(fmt::format("{}: stream reset before its end: {}", connection_->authority_,
                                nghttp2_http2_strerror(code)),
                    code == NGHTTP2_REFUSED_STREAM);
}

Task<void> Http2Stream::response(Deadline deadline) {
  while (!exchange_->headers_complete) {
    if (exchange_->closed) {
      throw_broken();
    }
    co_await wait(deadline);
  }
}

int Http2Stream::status() const {
  const std::string_view text = find_header(exchange_->headers, ":status");
  int status = 0;
  std::from_chars(text.data(), text.data() + text.size(), status);
  return status;
}

Task<std::string> Http2Stream::read(Deadline deadline) {
  while (exchange_->incoming.empty()) {
    if (exchange_->ended) {
      co_return std::string();
    }
    if (exchange_->closed) {
      throw_broken();
    }
    co_await wait(deadline);
  }
  std::string bytes = std::exchange(exchange_->incoming, {});
  connection_->session_.consume(*exchange_, bytes.size());
  connection_->wake_writer();
  co_return bytes;
}

void Http2Stream::write(std::string_view bytes, bool end) {
  exchange_->outgoing.append(bytes);
  exchange_->outgoing_ended = end;
  connection_->session_.resume(*exchange_);
  connection_->wake_writer();
}

}  // namespace flannel

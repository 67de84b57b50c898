// Fuzzes gRPC's framing and status over an HTTP/2 answer that is whole: the first bytes say how the
// rest is cut into pieces and what the trailers are; messages and a status come, or an exception.
#include "rpc/grpc.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdint>
#include <stdexcept>
#include <string_view>

namespace {

using namespace flannel;

constexpr Deadline kAtOnce = Deadline::min();

Task<void> read_all(GrpcStream* stream, Http2Exchange* exchange, std::string_view bytes,
                    std::size_t piece) {
  while (!bytes.empty()) {
    exchange->incoming.append(bytes.substr(0, piece));
    bytes.remove_prefix(std::min(piece, bytes.size()));
    exchange->ended = exchange->closed = bytes.empty();
    try {
      for (;;) {
        const bool more = stream->left() > 0 || co_await stream->next_message(kAtOnce);
        if (!more) {
          co_return;
        }
        while (!(co_await stream->read_part(kAtOnce)).empty()) {
        }
      }
    } catch (const DeadlineExceeded&) {
      // The rest of the message is in the next piece.
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 3) {
    return 0;
  }
  std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const std::size_t piece = 1 + static_cast<std::uint8_t>(bytes[0]);
  const std::size_t text = std::min<std::size_t>(static_cast<std::uint8_t>(bytes[1]), size - 2);
  asio::io_context loop;
  const auto exchange = std::make_shared<Http2Exchange>();
  exchange->headers = {{":status", "200"}, {"content-type", "application/grpc"}};
  exchange->trailers = {{"grpc-status", std::string(bytes.substr(2, text / 2))},
                        {"grpc-message", std::string(bytes.substr(2, text))}};
  exchange->headers_complete = true;
  const auto transport = std::make_shared<Transport>(loop.get_executor(), nullptr);
  GrpcStream stream(Http2Stream(
      Http2Connection::start(loop.get_executor(), transport, "http", "fuzz"), exchange));
  asio::co_spawn(loop, read_all(&stream, exchange.get(), bytes.substr(2 + text), piece),
                 [](const std::exception_ptr&) {});
  loop.run_for(std::chrono::seconds(1));
  return 0;
}

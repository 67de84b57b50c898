// gRPC over HTTP/2: calls with one answer, and streams of messages both ways.
#pragma once

#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

#include "rpc/http2_client.h"

namespace flannel {

// https://grpc.github.io/grpc/core/md_doc_statuscodes.html; those we look at.
enum class GrpcCode {
  ok = 0,
  cancelled = 1,
  unknown = 2,
  invalid_argument = 3,
  deadline_exceeded = 4,
  permission_denied = 7,
  resource_exhausted = 8,
  failed_precondition = 9,
  out_of_range = 11,
  internal = 13,
  unavailable = 14,
  unauthenticated = 16,
};

// The server's "no", with its own words.
class GrpcError : public std::runtime_error {
 public:
  GrpcError(GrpcCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  GrpcCode code() const { return code_; }

 private:
  GrpcCode code_;
};

// A longer message is refused by who keeps it as a whole.
inline constexpr std::size_t kMostMessageBytes = 64 << 20;

struct GrpcCall {
  std::string path;  // `/etcdserverpb.KV/Range`
  Headers metadata;
};

// Throws what Http2Stream throws, and GrpcError.
class GrpcStream {
 public:
  explicit GrpcStream(Http2Stream stream) : stream_(std::move(stream)) {}

  void write(std::string_view message);
  // Messages are read in parts, none of which is kept here: whether there is another one, once the
  // last was read to its end; false where the server ended the stream with status OK,
  Task<bool> next_message(Deadline deadline = kNever);
  // and the next bytes of it; empty at its end.
  Task<std::string> read_part(Deadline deadline = kNever);
  // How long it is, as far as it was not read yet.
  std::size_t left() const { return left_; }

 private:
  Task<bool> receive(Deadline deadline);
  void check_headers() const;
  void check_status() const;

  Http2Stream stream_;
  bool started_ = false;
  std::string buffer_;     // received
  std::size_t taken_ = 0;  // how much of it was already given out
  std::size_t left_ = 0;   // of the message
};

// Takes the next bytes of an answer; false where no more are wanted.
using GrpcSink = std::function<bool(std::string_view)>;

// A message with gRPC's prefix: not compressed, and its length.
std::string grpc_frame(std::string_view message);

class GrpcClient {
 public:
  GrpcClient(asio::any_io_executor executor, std::vector<Endpoint> endpoints, TlsSource tls)
      : http2_(std::move(executor), std::move(endpoints), std::move(tls)) {}

  // The answer's message. A request that the server did not look at is sent again, any other not.
  // Throws GrpcError, also where no answer came in time, and ConnectionError.
  Task<std::string> unary(GrpcCall call, std::string message,
                          std::chrono::steady_clock::duration within);
  // Gives the answer's message to `sink`, of any length, as it comes.
  Task<void> unary(GrpcCall call, std::string message, std::chrono::steady_clock::duration within,
                   GrpcSink sink);
  Task<GrpcStream> stream(GrpcCall call, Deadline connect_deadline);

  void next_endpoint() { http2_.next_endpoint(); }
  void host_changed() { http2_.host_changed(); }

 private:
  Task<void> unary_once(GrpcCall call, std::string frame, Deadline deadline, GrpcSink& sink);

  Http2Client http2_;
};

}  // namespace flannel

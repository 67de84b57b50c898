#include "rpc/grpc.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "base/percent.h"
#include "base/printable.h"

namespace flannel {
namespace {

constexpr std::size_t kPrefixBytes = 5;
constexpr int kSendAgain = 2;

Http2Request to_request(const GrpcCall& call) {
  Http2Request request{.method = "POST", .path = call.path};
  request.headers = {
      {"content-type", "application/grpc"}, {"te", "trailers"}, {"user-agent", "flannel-cpp"}};
  request.headers.insert(request.headers.end(), call.metadata.begin(), call.metadata.end());
  return request;
}

std::uint32_t big_endian(std::string_view bytes) {
  std::uint32_t number = 0;
  for (const char byte : bytes) {
    number = number << 8 | static_cast<std::uint8_t>(byte);
  }
  return number;
}

}  // namespace

std::string grpc_frame(std::string_view message) {
  std::string frame(1, '\0');
  for (int shift = 24; shift >= 0; shift -= 8) {
    frame.push_back(static_cast<char>(message.size() >> shift));
  }
  return frame.append(message);
}

void GrpcStream::write(std::string_view message) {
  stream_.write(grpc_frame(message));
}

Task<bool> GrpcStream::next_message(Deadline deadline) {
  while (buffer_.size() - taken_ < kPrefixBytes) {
    const bool more = co_await receive(deadline);
    if (!more) {
      co_return false;
    }
  }
  const std::string_view prefix = std::string_view(buffer_).substr(taken_, kPrefixBytes);
  if (prefix[0] != 0) {
    throw GrpcError(GrpcCode::internal, "the server compressed a message unasked");
  }
  left_ = big_endian(prefix.substr(1));
  taken_ += kPrefixBytes;
  co_return true;
}

Task<std::string> GrpcStream::read_part(Deadline deadline) {
  while (left_ > 0 && taken_ == buffer_.size()) {
    co_await receive(deadline);
  }
  const std::size_t count = std::min(left_, buffer_.size() - taken_);
  left_ -= count;
  if (taken_ == 0 && count == buffer_.size()) {
    co_return std::exchange(buffer_, {});
  }
  std::string part = buffer_.substr(taken_, count);
  taken_ += count;
  co_return part;
}

// More bytes; false where the server ended the stream, with status OK and between two messages.
Task<bool> GrpcStream::receive(Deadline deadline) {
  if (!started_) {
    co_await stream_.response(deadline);
    started_ = true;
    check_headers();
  }
  std::string bytes = co_await stream_.read(deadline);
  if (bytes.empty()) {
    check_status();
    co_return false;
  }
  buffer_.erase(0, std::exchange(taken_, 0));  // less than a message's prefix is left
  if (buffer_.empty()) {
    buffer_ = std::move(bytes);
  } else {
    buffer_ += bytes;
  }
  co_return true;
}

void GrpcStream::check_headers() const {
  const std::string_view type = find_header(stream_.headers(), "content-type");
  if (stream_.status() != 200 || !type.starts_with("application/grpc")) {
    throw GrpcError(GrpcCode::unavailable,
                    fmt::format("not a gRPC server: HTTP status {}, content type \"{}\"",
                                stream_.status(), printable(type)));
  }
}

void GrpcStream::check_status() const {
  // An answer of headers alone has its status there.
  const Headers& where = stream_.trailers().empty() ? stream_.headers() : stream_.trailers();
  const std::string_view text = find_header(where, "grpc-status");
  int code = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), code);
  if (error != std::errc() || rest != text.data() + text.size()) {
    throw GrpcError(GrpcCode::unknown, "the server ended the call without a status");
  }
  if (code != 0) {
    // One that is broken is not to be lost (gRPC over HTTP/2, "Responses").
    const std::string_view sent = find_header(where, "grpc-message");
    const std::string message = printable(percent_decode(sent).value_or(std::string(sent)));
    throw GrpcError(static_cast<GrpcCode>(code),
                    message.empty() ? fmt::format("gRPC status {}", code) : message);
  }
  if (taken_ < buffer_.size() || left_ > 0) {
    throw GrpcError(GrpcCode::internal, "the server's last message is cut off");
  }
}

Task<std::string> GrpcClient::unary(GrpcCall call, std::string message,
                                    std::chrono::steady_clock::duration within) {
  std::string answer;
  co_await unary(std::move(call), std::move(message), within, [&answer](std::string_view part) {
    answer += part;
    return answer.size() <= kMostMessageBytes;
  });
  if (answer.size() > kMostMessageBytes) {
    throw GrpcError(GrpcCode::resource_exhausted,
                    fmt::format("a message of over {} bytes is over the limit", kMostMessageBytes));
  }
  co_return answer;
}

Task<void> GrpcClient::unary(GrpcCall call, std::string message,
                             std::chrono::steady_clock::duration within, GrpcSink sink) {
  const Deadline deadline = std::chrono::steady_clock::now() + within;
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(within).count();
  call.metadata.push_back({"grpc-timeout", fmt::format("{}m", milliseconds)});
  const std::string frame = grpc_frame(message);
  bool begun = false;
  GrpcSink noting = [&](std::string_view part) {
    begun = true;
    return sink(part);
  };
  for (int left = kSendAgain;; --left) {
    try {
      co_await unary_once(call, frame, deadline, noting);
      co_return;
    } catch (const StreamReset& reset) {
      if (!reset.refused || begun || left == 0) {
        throw GrpcError(GrpcCode::unavailable, reset.what());
      }
    } catch (const DeadlineExceeded& late) {
      throw GrpcError(GrpcCode::deadline_exceeded, fmt::format("{}: {}", call.path, late.what()));
    }
  }
}

Task<void> GrpcClient::unary_once(GrpcCall call, std::string frame, Deadline deadline,
                                  GrpcSink& sink) {
  Http2Request request = to_request(call);
  request.body = std::move(frame);
  GrpcStream stream(co_await http2_.request(std::move(request), deadline));
  const bool answered = co_await stream.next_message(deadline);
  if (!answered) {
    throw GrpcError(GrpcCode::internal, call.path + ": an answer without a message");
  }
  for (;;) {
    const std::string part = co_await stream.read_part(deadline);
    if (part.empty()) {
      break;
    }
    if (!sink(part)) {
      co_return;
    }
  }
  const bool second = co_await stream.next_message(deadline);
  if (second) {
    throw GrpcError(GrpcCode::internal, call.path + ": an answer of two messages");
  }
}

Task<GrpcStream> GrpcClient::stream(GrpcCall call, Deadline connect_deadline) {
  Http2Request request = to_request(call);
  request.end = false;
  co_return GrpcStream(co_await http2_.request(std::move(request), connect_deadline));
}

}  // namespace flannel

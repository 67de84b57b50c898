// What the API server of Kubernetes says where it does not do what it was asked.
#pragma once

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace flannel {

// The fields of a Status object (meta/v1) that say why. Empty where it has none.
struct ApiStatus {
  std::string reason;   // a word: `Forbidden`, `NotFound`, `Expired`
  std::string message;  // a sentence
  int code = 0;
  bool operator==(const ApiStatus&) const = default;
};

// From an answer's body: JSON, or protobuf behind the magic `k8s\0`. Nothing where it is neither,
// as what a proxy in between says.
std::optional<ApiStatus> parse_api_status(std::string_view body);

// The server's "no". The text has its own words, printable, and what they mean for us.
struct ApiError : std::runtime_error {
  ApiError(int status, std::string reason, const std::string& text,
           std::optional<std::chrono::seconds> retry_after = std::nullopt)
      : std::runtime_error(text),
        status(status),
        reason(std::move(reason)),
        retry_after(retry_after) {}
  int status;          // HTTP's
  std::string reason;  // ApiStatus's
  std::optional<std::chrono::seconds> retry_after;
};

// By the status of an answer, or of a watch that ended: what was asked for is compacted (410), or
// of a version that is none of this server's (400).
inline bool is_history_lost(int status) {
  return status == 410 || status == 400;
}

// The error that an answer with this status and body is; `what` is the request for people: `GET
// /api/v1/nodes`.
ApiError make_api_error(const std::string& what, int status, std::string_view body,
                        std::optional<std::chrono::seconds> retry_after = std::nullopt);

}  // namespace flannel

// Small HTTP pages over TCP (health, metrics) and a unix socket (status).
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/task.h"

namespace flannel {

struct HttpReply {
  unsigned status = 200;
  std::string content_type = "text/plain; charset=utf-8";
  std::string body;
};

// The reply for a request's path; the method does not matter. Nothing is 404; what throws is 503
// with its words.
using HttpPages = std::function<std::optional<HttpReply>(std::string_view path)>;

// A listener has at most this many clients; for one more, that one is let go which has been quiet
// for longest. A health port is open to every pod, and our descriptors are not to be theirs.
inline constexpr std::size_t kMostHttpClients = 64;

// Where to listen. An IPv6 address has no brackets here.
struct ListenAddress {
  std::string host;
  std::uint16_t port = 0;
  bool operator==(const ListenAddress&) const = default;
};
// `198.51.100.1:9100`, `[fd99::1]:9100`, `localhost:9100`, `:9100`.
Result<ListenAddress> parse_listen_address(std::string_view text);

// Listens at once; serves until the executor stops. As in Go, an unspecified address (0.0.0.0, ::,
// or empty) stands for all addresses of both families, and a host name for its first IPv4 address,
// or else its first. Error: the address and the reason.
Result<void> serve_tcp(asio::any_io_executor executor, const ListenAddress& address,
                       HttpPages pages);
// The same on a unix socket, which never has a wider mode than 0660. The caller has the claim on
// `path` (claim.h), so that a socket there is one left by a daemon that is gone, and is replaced;
// any other file is an error.
Result<void> serve_unix(asio::any_io_executor executor, const std::string& path, HttpPages pages);
// Removes the socket at the end; another kind of file stays.
void remove_socket(const std::string& path);

}  // namespace flannel

// Small HTTP pages over TCP (health) and a unix socket (status).
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

// The reply for a request's path; the method does not matter. Nothing is 404.
using HttpPages = std::function<std::optional<HttpReply>(std::string_view path)>;

// Listens at once; serves until the executor stops. Error: the address and the reason.
Result<void> serve_tcp(asio::any_io_executor executor, const std::string& ip, std::uint16_t port,
                       HttpPages pages);
// The same on a unix socket, mode 0660. A socket left by a daemon that is gone is replaced.
Result<void> serve_unix(asio::any_io_executor executor, const std::string& path, HttpPages pages);

}  // namespace flannel

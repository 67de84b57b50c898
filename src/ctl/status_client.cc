#include "ctl/status_client.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

namespace flannel {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;

constexpr std::chrono::seconds kLimit{5};
constexpr std::uint64_t kMostBytes = 256U << 20;

}  // namespace

Result<Page> get_page(const std::string& socket, const std::string& path) {
  using Protocol = asio::local::stream_protocol;
  asio::io_context io;
  beast::basic_stream<Protocol> stream(io);
  boost::system::error_code connected;
  if (socket.size() >= sizeof(sockaddr_un::sun_path)) {
    return fail("{}: too long for the path of a socket", socket);
  }
  stream.socket().connect(Protocol::endpoint(socket), connected);
  if (connected == boost::system::errc::permission_denied) {
    return fail("{}: permission denied: run as root", socket);
  }
  if (connected) {
    return fail("nobody answers at {} ({}): is flanneld running?", socket, connected.message());
  }
  stream.expires_after(kLimit);
  const std::string request =
      fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", path);
  std::string answer;
  boost::system::error_code result;
  asio::async_write(
      stream, asio::buffer(request), [&](boost::system::error_code written, std::size_t) {
        result = written;
        if (!written) {
          asio::async_read(stream, asio::dynamic_buffer(answer, kMostBytes),
                           [&](boost::system::error_code read, std::size_t) { result = read; });
        }
      });
  io.run();
  http::response_parser<http::string_body> response;
  response.body_limit(kMostBytes);
  response.eager(true);
  if (result == asio::error::eof) {
    result = {};
    response.put(asio::buffer(answer), result);
    if (!response.is_done() && (!result || result == http::error::need_more)) {
      response.put_eof(result);  // says that a part is missing, unless the end is what ends it
    }
  }
  if (result) {
    return fail("no answer from {}: {}", socket, result.message());
  }
  return Page{response.get().result_int(), std::move(response.get().body())};
}

}  // namespace flannel

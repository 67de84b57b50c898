#include "daemon/http_server.h"

#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <filesystem>

namespace flannel {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;

// A client that sends nothing, or reads nothing, is let go after this long.
constexpr std::chrono::seconds kClientTimeout{30};

template <class Protocol>
using Stream = beast::basic_stream<Protocol, asio::any_io_executor>;

http::response<http::string_body> respond(const http::request<http::empty_body>& request,
                                          const HttpPages& pages) {
  const std::string_view target(request.target().data(), request.target().size());
  const std::optional<HttpReply> page = pages(target.substr(0, target.find('?')));
  const HttpReply reply =
      page.value_or(HttpReply{404, "text/plain; charset=utf-8", "404 page not found\n"});
  http::response<http::string_body> response{static_cast<http::status>(reply.status),
                                             request.version()};
  response.set(http::field::content_type, reply.content_type);
  response.keep_alive(request.keep_alive());
  response.body() = reply.body;
  response.prepare_payload();
  return response;
}

template <class Protocol>
Task<void> serve_client(Stream<Protocol> stream, HttpPages pages) {
  beast::flat_buffer buffer(16384);  // also the most a request may have
  try {
    for (bool more = true; more;) {
      http::request<http::empty_body> request;
      stream.expires_after(kClientTimeout);
      co_await http::async_read(stream, buffer, request, asio::use_awaitable);
      http::response<http::string_body> response = respond(request, pages);
      if (request.method() == http::verb::head) {
        response.body().clear();
      }
      more = response.keep_alive();
      co_await http::async_write(stream, response, asio::use_awaitable);
    }
  } catch (const boost::system::system_error&) {
    // The client went away or talks nonsense: its connection ends, nothing else.
  }
}

template <class Protocol>
Task<void> accept_forever(typename Protocol::acceptor acceptor, HttpPages pages) {
  const asio::any_io_executor executor = acceptor.get_executor();
  for (;;) {
    boost::system::error_code error;
    typename Protocol::socket socket =
        co_await acceptor.async_accept(asio::redirect_error(asio::use_awaitable, error));
    if (error == asio::error::operation_aborted) {
      co_return;
    }
    if (error) {
      co_await sleep_for(std::chrono::seconds(1));  // out of descriptors: do not spin
      continue;
    }
    asio::co_spawn(executor, serve_client(Stream<Protocol>(std::move(socket)), pages),
                   asio::detached);
  }
}

template <class Protocol>
void listen(const asio::any_io_executor& executor, const typename Protocol::endpoint& endpoint,
            HttpPages pages) {
  typename Protocol::acceptor acceptor(executor, endpoint);
  asio::co_spawn(executor, accept_forever<Protocol>(std::move(acceptor), std::move(pages)),
                 asio::detached);
}

}  // namespace

Result<void> serve_tcp(asio::any_io_executor executor, const std::string& ip, std::uint16_t port,
                       HttpPages pages) {
  boost::system::error_code error;
  const asio::ip::address address = asio::ip::make_address(ip, error);
  if (error) {
    return fail("invalid IP address: {}", ip);
  }
  try {
    listen<asio::ip::tcp>(executor, {address, port}, std::move(pages));
  } catch (const boost::system::system_error& refused) {
    return fail("listen on {}:{}: {}", ip, port, refused.code().message());
  }
  return {};
}

Result<void> serve_unix(asio::any_io_executor executor, const std::string& path, HttpPages pages) {
  using Protocol = asio::local::stream_protocol;
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  ::unlink(path.c_str());
  try {
    listen<Protocol>(executor, Protocol::endpoint(path), std::move(pages));
  } catch (const boost::system::system_error& refused) {
    return fail("listen on {}: {}", path, refused.code().message());
  }
  ::chmod(path.c_str(), 0660);
  return {};
}

}  // namespace flannel

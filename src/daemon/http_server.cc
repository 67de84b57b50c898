#include "daemon/http_server.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <filesystem>
#include <list>
#include <memory>

#include "base/file.h"
#include "base/printable.h"

namespace flannel {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;

// A client that sends nothing, or reads nothing, is let go after this long.
constexpr std::chrono::seconds kClientTimeout{30};

template <class Protocol>
using Stream = beast::basic_stream<Protocol, asio::any_io_executor>;

// A page that cannot be made now, as where the kernel's lists are interrupted, says why: neither
// the client's connection nor the daemon ends for it.
HttpReply make_page(const HttpPages& pages, std::string_view path) {
  try {
    return pages(path).value_or(HttpReply{.status = 404, .body = "404 page not found\n"});
  } catch (const std::exception& error) {
    return {.status = 503, .body = printable(error.what()) + "\n"};
  }
}

http::response<http::string_body> respond(const http::request<http::empty_body>& request,
                                          const HttpPages& pages) {
  const std::string_view target(request.target().data(), request.target().size());
  const HttpReply reply = make_page(pages, target.substr(0, target.find('?')));
  http::response<http::string_body> response{static_cast<http::status>(reply.status),
                                             request.version()};
  response.set(http::field::content_type, reply.content_type);
  response.keep_alive(request.keep_alive());
  response.body() = reply.body;
  response.prepare_payload();
  return response;
}

// A listener's clients, the one that has been quiet for longest first.
template <class Protocol>
using Clients = std::list<std::shared_ptr<Stream<Protocol>>>;

template <class Protocol>
Task<void> serve_client(std::shared_ptr<Clients<Protocol>> clients,
                        std::shared_ptr<Stream<Protocol>> stream, HttpPages pages) {
  beast::flat_buffer buffer(16384);  // also the most a request may have
  try {
    for (bool more = true; more;) {
      http::request<http::empty_body> request;
      stream->expires_after(kClientTimeout);
      co_await http::async_read(*stream, buffer, request, asio::use_awaitable);
      clients->remove(stream);
      clients->push_back(stream);
      http::response<http::string_body> response = respond(request, pages);
      if (request.method() == http::verb::head) {
        response.body().clear();
      }
      more = response.keep_alive();
      co_await http::async_write(*stream, response, asio::use_awaitable);
    }
  } catch (const boost::system::system_error&) {
    // The client went away, was let go or talks nonsense: its connection ends, nothing else.
  }
  clients->remove(stream);
}

template <class Protocol>
Task<void> accept_forever(typename Protocol::acceptor acceptor, HttpPages pages) {
  const asio::any_io_executor executor = acceptor.get_executor();
  const auto clients = std::make_shared<Clients<Protocol>>();
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
    close_on_exec(socket.native_handle());
    if (clients->size() == kMostHttpClients) {
      clients->front()->close();
      clients->pop_front();
    }
    clients->push_back(std::make_shared<Stream<Protocol>>(std::move(socket)));
    asio::co_spawn(executor, serve_client<Protocol>(clients, clients->back(), pages),
                   asio::detached);
  }
}

template <class Protocol>
void listen(typename Protocol::acceptor acceptor, const typename Protocol::endpoint& endpoint,
            HttpPages pages) {
  close_on_exec(acceptor.native_handle());
  acceptor.bind(endpoint);
  acceptor.listen();
  const asio::any_io_executor executor = acceptor.get_executor();
  asio::co_spawn(executor, accept_forever<Protocol>(std::move(acceptor), std::move(pages)),
                 asio::detached);
}

void listen_tcp(const asio::any_io_executor& executor, asio::ip::tcp::endpoint endpoint,
                HttpPages pages) {
  asio::ip::tcp::acceptor acceptor(executor);
  if (endpoint.address().is_unspecified()) {
    boost::system::error_code no_ipv6;
    acceptor.open(asio::ip::tcp::v6(), no_ipv6);
    if (!no_ipv6) {
      acceptor.set_option(asio::ip::v6_only(false));
      endpoint = {asio::ip::tcp::v6(), endpoint.port()};
    } else {
      endpoint = {asio::ip::tcp::v4(), endpoint.port()};
    }
  }
  if (!acceptor.is_open()) {
    acceptor.open(endpoint.protocol());
  }
  acceptor.set_option(asio::socket_base::reuse_address(true));
  listen<asio::ip::tcp>(std::move(acceptor), endpoint, std::move(pages));
}

// The mode that new files have at most, until it goes.
class Umask {
 public:
  explicit Umask(mode_t mask) : before_(::umask(mask)) {}
  Umask(const Umask&) = delete;
  Umask& operator=(const Umask&) = delete;
  ~Umask() { ::umask(before_); }

 private:
  mode_t before_;
};

}  // namespace

Result<void> serve_tcp(asio::any_io_executor executor, const std::string& host, std::uint16_t port,
                       HttpPages pages) {
  try {
    asio::ip::tcp::resolver resolver(executor);
    const auto found = resolver.resolve(host.empty() ? "0.0.0.0" : host, std::to_string(port));
    const auto v4 = std::ranges::find_if(
        found, [](const auto& entry) { return entry.endpoint().address().is_v4(); });
    listen_tcp(executor, (v4 == found.end() ? found.begin() : v4)->endpoint(), std::move(pages));
  } catch (const boost::system::system_error& refused) {
    return fail("listen on {}:{}: {}", printable(host), port, refused.code().message());
  }
  return {};
}

Result<void> serve_unix(asio::any_io_executor executor, const std::string& path, HttpPages pages) {
  using Protocol = asio::local::stream_protocol;
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  remove_socket(path);
  try {
    const Umask mask(0117);
    listen<Protocol>(Protocol::acceptor(executor, Protocol()), Protocol::endpoint(path),
                     std::move(pages));
  } catch (const boost::system::system_error& refused) {
    const bool in_the_way = refused.code() == asio::error::address_in_use;
    return fail("listen on {}: {}", printable(path),
                in_the_way ? "a file that is no socket is there" : refused.code().message());
  }
  return {};
}

void remove_socket(const std::string& path) {
  struct stat found{};
  if (::lstat(path.c_str(), &found) == 0 && S_ISSOCK(found.st_mode)) {
    ::unlink(path.c_str());
  }
}

}  // namespace flannel

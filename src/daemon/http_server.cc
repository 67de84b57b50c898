#include "daemon/http_server.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <charconv>
#include <filesystem>
#include <list>
#include <memory>
#include <sstream>

#include "base/file.h"
#include "base/ip.h"
#include "base/printable.h"
#include "rpc/endpoint.h"

namespace flannel {
namespace {

namespace beast = boost::beast;
namespace http = beast::http;

// A client that sends nothing, or reads nothing, is let go after this long.
constexpr std::chrono::seconds kClientTimeout{30};
constexpr std::size_t kMostRequestBytes = 16384;

// TCP and unix sockets are served by the same code.
using Protocol = asio::generic::stream_protocol;
using Acceptor = asio::basic_socket_acceptor<Protocol>;
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

// Of `/path?query`, or of the whole URL, which a server takes as well (RFC 9112, 3.2.2).
std::string_view path_of(std::string_view target) {
  constexpr std::string_view kScheme = "http://";
  if (target.starts_with(kScheme)) {
    target.remove_prefix(std::min(target.find('/', kScheme.size()), target.size()));
  }
  return target.substr(0, target.find('?'));
}

// A reply as it goes over the wire.
std::string respond(const http::request<http::empty_body>& request, const HttpPages& pages) {
  const HttpReply reply = make_page(pages, path_of(request.target()));
  http::response<http::empty_body> head{static_cast<http::status>(reply.status), request.version()};
  head.set(http::field::content_type, reply.content_type);
  head.keep_alive(request.keep_alive());
  head.content_length(reply.body.size());
  std::ostringstream wire;
  wire << head.base();
  return std::move(wire).str() + (request.method() == http::verb::head ? "" : reply.body);
}

// A listener's clients, the one that has been quiet for longest first.
using Clients = std::list<std::shared_ptr<Stream>>;

// What a client sends in advance stays in the buffer. Throws for what is no request, or too long.
Task<http::request<http::empty_body>> read_request(Stream& stream, beast::flat_buffer& buffer) {
  http::request_parser<http::empty_body> parser;
  for (;;) {
    if (buffer.size() != 0) {
      boost::system::error_code error;
      const std::size_t taken = parser.put(buffer.data(), error);
      buffer.consume(taken);
      if (parser.is_done()) {
        co_return parser.release();
      }
      if (error && error != http::error::need_more) {
        throw boost::system::system_error(error);
      }
      if (taken > 0) {
        continue;  // the parser stops between head and body
      }
    }
    buffer.commit(co_await stream.async_read_some(buffer.prepare(4096), asio::use_awaitable));
  }
}

Task<void> serve_client(std::shared_ptr<Clients> clients, std::shared_ptr<Stream> stream,
                        HttpPages pages) {
  beast::flat_buffer buffer(kMostRequestBytes);
  try {
    for (bool more = true; more;) {
      stream->expires_after(kClientTimeout);
      const http::request<http::empty_body> request = co_await read_request(*stream, buffer);
      clients->remove(stream);
      clients->push_back(stream);
      const std::string reply = respond(request, pages);
      more = request.keep_alive();
      co_await asio::async_write(*stream, asio::buffer(reply), asio::use_awaitable);
    }
  } catch (const std::exception&) {
    // The client went away, was let go or talks nonsense: its connection ends, nothing else.
  }
  clients->remove(stream);
}

Task<void> accept_forever(Acceptor acceptor, HttpPages pages) {
  const asio::any_io_executor executor = acceptor.get_executor();
  const auto clients = std::make_shared<Clients>();
  for (;;) {
    boost::system::error_code error;
    Protocol::socket socket =
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
    clients->push_back(std::make_shared<Stream>(std::move(socket)));
    asio::co_spawn(executor, serve_client(clients, clients->back(), pages), asio::detached);
  }
}

void listen(Acceptor acceptor, const Protocol::endpoint& endpoint, HttpPages pages) {
  close_on_exec(acceptor.native_handle());
  acceptor.bind(endpoint);
  acceptor.listen();
  const asio::any_io_executor executor = acceptor.get_executor();
  asio::co_spawn(executor, accept_forever(std::move(acceptor), std::move(pages)), asio::detached);
}

void listen_tcp(const asio::any_io_executor& executor, asio::ip::tcp::endpoint endpoint,
                HttpPages pages) {
  Acceptor acceptor(executor);
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
  listen(std::move(acceptor), endpoint, std::move(pages));
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

Result<ListenAddress> parse_listen_address(std::string_view text) {
  const std::size_t colon = std::min(text.rfind(':'), text.size());
  std::string_view host = text.substr(0, colon);
  const std::string_view digits = text.substr(std::min(colon + 1, text.size()));
  std::uint16_t port = 0;
  const char* const end = digits.data() + digits.size();
  const auto [rest, error] = std::from_chars(digits.data(), end, port);
  if (error != std::errc() || rest != end || port == 0) {
    return fail("{}: no ADDRESS:PORT with a port of 1 to 65535", printable(text));
  }
  if (host.contains('%')) {
    return fail("{}: an address with a zone is not taken", printable(text));
  }
  const bool has_brackets = host.starts_with('[') && host.ends_with(']');
  if (has_brackets) {
    host = host.substr(1, host.size() - 2);
  }
  const bool is_v6 = host.contains(':') && IpAddr::parse(host);
  if (has_brackets != is_v6 || (!is_v6 && host.find_first_of("[]:") != std::string_view::npos)) {
    return fail("{}: an IPv6 address, and nothing else, stands in brackets", printable(text));
  }
  // Whose last label is a number is no name (RFC 1123, 2.1), and no resolver is to be asked for it.
  const std::string_view last = host.substr(host.rfind('.') + 1);
  const bool is_number = !last.empty() && last.find_first_not_of("0123456789") == last.npos;
  if (is_number && !IpAddr::parse(host)) {
    return fail("{}: no IPv4 address", printable(text));
  }
  return ListenAddress{std::string(host), port};
}

Result<void> serve_tcp(asio::any_io_executor executor, const ListenAddress& address,
                       HttpPages pages) {
  const auto& [host, port] = address;
  try {
    asio::ip::tcp::resolver resolver(executor);
    const auto found = resolver.resolve(host.empty() ? "0.0.0.0" : host, std::to_string(port));
    const auto v4 = std::ranges::find_if(
        found, [](const auto& entry) { return entry.endpoint().address().is_v4(); });
    listen_tcp(executor, (v4 == found.end() ? found.begin() : v4)->endpoint(), std::move(pages));
  } catch (const boost::system::system_error& refused) {
    return fail("listen on {}: {}", authority(printable(host), port), refused.code().message());
  }
  return {};
}

Result<void> serve_unix(asio::any_io_executor executor, const std::string& path, HttpPages pages) {
  std::error_code ignored;
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  remove_socket(path);
  try {
    const Umask mask(0117);
    listen(Acceptor(executor, Protocol(asio::local::stream_protocol())),
           asio::local::stream_protocol::endpoint(path), std::move(pages));
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

#include "rpc/transport.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/write.hpp>

#include "base/file.h"
#include "base/ip.h"
#include "rpc/proxy.h"

namespace flannel {

using boost::system::error_code;

namespace {
constexpr std::size_t kMostConnectAnswer = 16 << 10;  // headers of proxies are some hundred bytes
}

Transport::Transport(asio::any_io_executor executor, TlsContext tls)
    : context_(std::move(tls)), socket_(executor) {}

Task<void> Transport::connect(Endpoint endpoint, Address address) {
  peer_ = endpoint.is_unix() ? endpoint.to_text()
          : endpoint.proxy   ? "the proxy " + authority(endpoint.proxy->host, endpoint.proxy->port)
                             : endpoint.authority();
  error_code error;
  socket_.open(address.protocol(), error);
  if (!error) {
    close_on_exec(socket_.native_handle());
    co_await socket_.async_connect(address, asio::redirect_error(asio::use_awaitable, error));
  }
  if (error) {
    throw ConnectionError(fmt::format("connect to {}: {}", peer_, error.message()));
  }
  if (!endpoint.is_unix()) {
    socket_.set_option(asio::ip::tcp::no_delay(true), error);
  }
}

// Byte by byte: what comes behind the answer is the server's.
Task<void> Transport::pass_proxy(Endpoint endpoint) {
  const std::string request = connect_request(*endpoint.proxy, endpoint.authority());
  co_await write(request);
  std::string head;
  while (!head.ends_with("\r\n\r\n") && head.size() < kMostConnectAnswer) {
    char byte = 0;
    const std::span<char> next(&byte, 1);
    co_await read_some(next);
    head += byte;
  }
  if (const Result<void> connected = check_connect_answer(head); !connected) {
    throw ConnectionError(fmt::format("connect to {} by {}: {}", endpoint.authority(), peer_,
                                      connected.error().text));
  }
  peer_ = fmt::format("{} by {}", endpoint.authority(), peer_);
  heard_ = false;
}

Task<void> Transport::handshake(Endpoint endpoint) {
  if (endpoint.proxy) {
    co_await pass_proxy(endpoint);
  }
  if (!context_) {
    co_return;
  }
  tls_.emplace(socket_, *context_);
  SSL* const ssl = tls_->native_handle();
  const std::string host = !endpoint.certificate_name.empty() ? endpoint.certificate_name
                           : endpoint.is_unix()               ? "localhost"
                                                              : endpoint.host;
  X509_VERIFY_PARAM* const verify = SSL_get0_param(ssl);
  if (IpAddr::parse(host)) {
    X509_VERIFY_PARAM_set1_ip_asc(verify, host.c_str());
  } else {
    X509_VERIFY_PARAM_set_hostflags(verify, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);  // as Go
    X509_VERIFY_PARAM_set1_host(verify, host.c_str(), host.size());
    SSL_set_tlsext_host_name(ssl, host.c_str());
  }
  error_code error;
  co_await tls_->async_handshake(asio::ssl::stream_base::client,
                                 asio::redirect_error(asio::use_awaitable, error));
  const long verdict = SSL_get_verify_result(ssl);
  const bool verified = SSL_get_verify_mode(ssl) != SSL_VERIFY_NONE;
  if (error && verified && verdict != X509_V_OK) {
    throw ConnectionError(fmt::format("TLS with {}: certificate of {} not accepted: {}", peer_,
                                      host, X509_verify_cert_error_string(verdict)));
  }
  if (error) {
    // Still waiting for its first message, and no alert: that was no TLS.
    const bool silent = SSL_get_state(ssl) == TLS_ST_CW_CLNT_HELLO &&
                        ERR_GET_REASON(error.value()) < SSL_AD_REASON_OFFSET;
    throw ConnectionError(
        fmt::format("TLS with {}: {}{}", peer_, error.message(),
                    silent ? " (is it a server without TLS? Those are written http://)" : ""));
  }
  const unsigned char* protocol = nullptr;
  unsigned length = 0;
  SSL_get0_alpn_selected(ssl, &protocol, &length);
  if (std::string_view(reinterpret_cast<const char*>(protocol), length) != "h2") {
    throw ConnectionError(fmt::format("TLS with {}: the server does not speak HTTP/2", peer_));
  }
}

Task<std::size_t> Transport::read_some(std::span<char> buffer) {
  error_code error;
  const asio::mutable_buffer into = asio::buffer(buffer.data(), buffer.size());
  std::size_t count = 0;
  if (tls_) {
    count = co_await tls_->async_read_some(into, asio::redirect_error(asio::use_awaitable, error));
  } else {
    count =
        co_await socket_.async_read_some(into, asio::redirect_error(asio::use_awaitable, error));
  }
  if (error) {
    broken(error);
  }
  // A plain connection that is answered with a TLS record: an alert, RFC 8446, 5.1.
  if (!heard_ && !tls_ && count > 1 && buffer[0] == 0x15 && buffer[1] == 0x03) {
    throw ConnectionError(
        fmt::format("{}: the server speaks TLS; its endpoint is written https://", peer_));
  }
  heard_ = true;
  co_return count;
}

Task<void> Transport::write(std::string_view bytes) {
  error_code error;
  const asio::const_buffer from = asio::buffer(bytes.data(), bytes.size());
  if (tls_) {
    co_await asio::async_write(*tls_, from, asio::redirect_error(asio::use_awaitable, error));
  } else {
    co_await asio::async_write(socket_, from, asio::redirect_error(asio::use_awaitable, error));
  }
  if (error) {
    broken(error);
  }
}

// Asks by taking a port of the address: only the host's own have any (ip(7), EADDRNOTAVAIL).
bool Transport::has_local_address() const {
  error_code error;
  Address local = socket_.local_endpoint(error);
  if (error || local.protocol().family() == AF_UNIX) {
    return true;
  }
  if (local.protocol().family() == AF_INET6) {
    reinterpret_cast<sockaddr_in6*>(local.data())->sin6_port = 0;
  } else {
    reinterpret_cast<sockaddr_in*>(local.data())->sin_port = 0;
  }
  const UniqueFd probe(::socket(local.protocol().family(), SOCK_DGRAM | SOCK_CLOEXEC, 0));
  return !probe || ::bind(probe.get(), local.data(), static_cast<socklen_t>(local.size())) == 0 ||
         errno != EADDRNOTAVAIL;
}

void Transport::close() {
  error_code ignored;
  socket_.close(ignored);
}

void Transport::broken(const error_code& error) const {
  const bool ended = error == asio::error::eof || error == asio::ssl::error::stream_truncated;
  const bool mute = !heard_ && !tls_ && (ended || error == asio::error::connection_reset);
  throw ConnectionError(
      fmt::format("{}: {}{}", peer_, ended ? "closed by the server" : error.message(),
                  mute ? " without a word (is it one with TLS? Those are written https://)" : ""));
}

Task<std::vector<Transport::Address>> resolve(Endpoint endpoint) {
  std::vector<Transport::Address> out;
  if (endpoint.is_unix()) {
    const asio::local::stream_protocol::endpoint address(endpoint.socket_path);
    out.emplace_back(address);
    co_return out;
  }
  error_code error;
  const std::string& host = endpoint.proxy ? endpoint.proxy->host : endpoint.host;
  const std::uint16_t port = endpoint.proxy ? endpoint.proxy->port : endpoint.port;
  // Names cost Asio a thread of its own; most endpoints are addresses.
  const asio::ip::address literal = asio::ip::make_address(host, error);
  if (!error) {
    const asio::ip::tcp::endpoint address(literal, port);
    out.emplace_back(address);
    co_return out;
  }
  asio::ip::tcp::resolver resolver(co_await asio::this_coro::executor);
  const asio::ip::tcp::resolver::results_type found = co_await resolver.async_resolve(
      host, std::to_string(port), asio::redirect_error(asio::use_awaitable, error));
  if (error) {
    throw ConnectionError(fmt::format("look up {}: {}", host, error.message()));
  }
  for (const auto& entry : found) {
    out.emplace_back(entry.endpoint());
  }
  co_return out;
}

}  // namespace flannel

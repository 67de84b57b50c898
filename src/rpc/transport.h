// One byte stream to a server: TCP or a unix socket, with TLS or without.
#pragma once

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>

#include "base/task.h"
#include "rpc/endpoint.h"
#include "rpc/tls.h"

namespace flannel {

// The connection could not be made or is gone; the text names the server and the reason.
struct ConnectionError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class Transport {
 public:
  using Address = asio::generic::stream_protocol::endpoint;

  // Without `tls` the bytes go as they are.
  Transport(asio::any_io_executor executor, TlsContext tls);

  // Both throw ConnectionError.
  Task<void> connect(Endpoint endpoint, Address address);
  // By way of a proxy: that has to connect us. With TLS: the certificate must be trusted and be for
  // the endpoint's host (or its `certificate_name`), unless none is verified, and the server must
  // speak HTTP/2. Without, nothing.
  Task<void> handshake(Endpoint endpoint);

  // Whom we talk to, for people: the proxy, until that has connected us.
  const std::string& peer() const { return peer_; }

  // At least one byte; throws ConnectionError at the end of the stream too.
  Task<std::size_t> read_some(std::span<char> buffer);
  // All of it.
  Task<void> write(std::string_view bytes);

  // False where our end's address is not one of the host's any more. The kernel lets such a
  // connection be, and nothing for it arrives.
  bool has_local_address() const;

  // Ends what is under way with an error. Again: no effect.
  void close();

 private:
  using Socket = asio::generic::stream_protocol::socket;

  Task<void> pass_proxy(Endpoint endpoint);
  [[noreturn]] void broken(const boost::system::error_code& error) const;

  TlsContext context_;
  Socket socket_;
  std::optional<asio::ssl::stream<Socket&>> tls_;
  std::string peer_;
  bool heard_ = false;  // the server has said something
};

// The addresses behind an endpoint, or behind its proxy, in the resolver's order. Throws
// ConnectionError.
Task<std::vector<Transport::Address>> resolve(Endpoint endpoint);

}  // namespace flannel

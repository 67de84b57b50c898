// TLS as a client: whom to trust, and who we are.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <string>

#include "base/result.h"

namespace flannel {

namespace asio = boost::asio;

// PEM text and where it came from, for errors. Empty text: not given.
struct Pem {
  std::string name;
  std::string text;
};

struct TlsIdentity {
  Pem ca;           // one or more certificates; without: the system's roots
  Pem certificate;  // the client's chain; needs `key`
  Pem key;
};

using TlsContext = std::shared_ptr<asio::ssl::context>;

// Reads a PEM file; an empty path is a Pem not given. Error: `open PATH: REASON`.
Result<Pem> read_pem(const std::string& path);

// TLS 1.2 or later, ALPN h2, the peer's certificate always verified (its host name as well, see
// Transport). Error: the name of the text that cannot be used, and why.
Result<TlsContext> make_tls_context(const TlsIdentity& identity);

}  // namespace flannel

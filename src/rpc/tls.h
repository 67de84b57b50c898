// TLS as a client: whom to trust, and who we are.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"

namespace flannel {

namespace asio = boost::asio;

// PEM text and where it came from, for errors. Empty text: not given.
struct Pem {
  std::string name;
  std::string text;
  bool operator==(const Pem&) const = default;
};

struct TlsIdentity {
  Pem ca;           // one or more certificates; without: the system's roots
  Pem certificate;  // the client's chain; needs `key`
  Pem key;
  bool verify = true;  // false: any certificate of the server's is taken, by whoever it was made
  bool operator==(const TlsIdentity&) const = default;
};

using TlsContext = std::shared_ptr<asio::ssl::context>;

// Reads a PEM file; an empty path is a Pem not given. Error: `open PATH: REASON`.
Result<Pem> read_pem(const std::string& path);

// TLS 1.2 or later, ALPN h2, the peer's certificate verified (its host name as well, see Transport)
// unless the identity says otherwise. Error: the name of the text that cannot be used, and why.
Result<TlsContext> make_tls_context(const TlsIdentity& identity);

// Asked before each connection. Nothing in it: plain, without TLS.
using TlsSource = std::function<TlsContext()>;

// PEM files by their paths, empty where not given.
struct TlsFiles {
  std::string ca, certificate, key;
  bool operator==(const TlsFiles&) const = default;
};

// Reads the files anew before each connection, so that certificates can be replaced while we run.
// Where new ones cannot be used (half of them may be there yet) the last good ones are, with one
// warning. Error: what is wrong with them now.
Result<TlsSource> follow_tls_files(TlsFiles files);

}  // namespace flannel

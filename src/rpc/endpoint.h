// Where a server is, as people write it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace flannel {

// `10.0.0.1:2379`, `[fd99::1]:2379`.
std::string authority(const std::string& host, std::uint16_t port);

// An HTTP proxy without TLS, which connects us to a server.
struct Proxy {
  std::string host;
  std::uint16_t port = 0;
  std::string authorization;  // the header's value; empty: without the header
  bool operator==(const Proxy&) const = default;
};

struct Endpoint {
  std::string host;         // a name or an address without brackets; empty for a unix socket
  std::uint16_t port = 0;   // 0 for a unix socket
  std::string socket_path;  // of a unix socket, else empty
  // What the scheme says; nothing where the text had none, so that the caller's rule decides.
  std::optional<bool> tls;
  std::string certificate_name;  // whom its certificate is for, where that is not `host`
  std::optional<Proxy> proxy;    // by which it is reached

  bool is_unix() const { return !socket_path.empty(); }
  // For HTTP's :authority and for messages: `10.0.0.1:2379`, `[fd99::1]:2379`; `localhost` for a
  // unix socket.
  std::string authority() const;
  // For people: `https://10.0.0.1:2379`, `unix:///run/etcd.sock`.
  std::string to_text() const;
  bool operator==(const Endpoint&) const = default;
};

// `http://HOST:PORT`, `https://HOST:PORT`, `HOST:PORT`, `unix://PATH`, `unixs://PATH` (TLS). A path
// after the port is ignored, the scheme is read in either case. Without a port: 80, or 443 with
// https. User names in a URL are refused: they would end up in logs.
Result<Endpoint> parse_endpoint(std::string_view text);

// The endpoints of a list with commas between them; blanks around one and empty ones are left out.
// At least one. Error: names the one that is wrong, and has no text of a user name or a password,
// whatever they are made of.
Result<std::vector<Endpoint>> parse_endpoints(std::string_view list);

// `list` for people: all that may be a user name or a password is `(hidden)`, which is what comes
// before the last `@`, but a scheme.
std::string without_credentials(std::string_view list);

}  // namespace flannel

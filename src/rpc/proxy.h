// Which HTTP proxy a server is reached by, and what is said to that proxy.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "rpc/endpoint.h"

namespace flannel {

// `http://USER:PASSWORD@HOST:PORT`; the scheme, user and password may be missing, the port is 80
// then. Error: why it cannot be used, as one of another scheme; it has no credentials.
Result<Proxy> parse_proxy(std::string_view url);

// The variables of a process, as Go programs read them (golang.org/x/net/http/httpproxy).
struct ProxyVariables {
  std::string https;     // HTTPS_PROXY: for servers with TLS
  std::string http;      // HTTP_PROXY: for those without
  std::string no_proxy;  // NO_PROXY: which servers are reached directly
};
// Nothing: directly. Error: names the variable.
Result<std::optional<Proxy>> proxy_for(const ProxyVariables& variables, const Endpoint& server);

// Whether `list`, as NO_PROXY, has the server: by `*`, a name that it has or ends with, an address
// or a network, each with a port where only that is meant. Those of this host it always has.
bool is_without_proxy(std::string_view list, const Endpoint& server);

// RFC 9110, 9.3.6.
std::string connect_request(const Proxy& proxy, const std::string& authority);
// What the proxy answered, to the empty line. Error: its own words.
Result<void> check_connect_answer(std::string_view head);

}  // namespace flannel

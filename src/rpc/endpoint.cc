#include "rpc/endpoint.h"

#include <charconv>

namespace flannel {
namespace {

Result<std::uint16_t> parse_port(std::string_view text, std::string_view whole) {
  std::uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc() || rest != end || port == 0) {
    return fail("endpoint \"{}\": port \"{}\" is not between 1 and 65535", whole, text);
  }
  return port;
}

// Splits `HOST`, `HOST:PORT`, `[V6]` and `[V6]:PORT`; the port part keeps its colon.
std::pair<std::string_view, std::string_view> split_host(std::string_view text) {
  if (text.starts_with('[')) {
    const std::size_t close = text.find(']');
    if (close == std::string_view::npos) {
      return {};
    }
    return {text.substr(1, close - 1), text.substr(close + 1)};
  }
  const std::size_t colon = text.find(':');
  return colon == std::string_view::npos ? std::pair(text, std::string_view())
                                         : std::pair(text.substr(0, colon), text.substr(colon));
}

Result<Endpoint> parse_host_port(std::string_view text, std::string_view whole,
                                 std::optional<bool> tls) {
  text = text.substr(0, text.find_first_of("/?#"));
  if (text.contains('@')) {
    return fail("an endpoint contains a user name; give it by its own option");
  }
  const auto [host, port_text] = split_host(text);
  if (host.empty() || host.find_first_of(" \t\r\n\"") != std::string_view::npos) {
    return fail("endpoint \"{}\": no host", whole);
  }
  Endpoint out{.host = std::string(host), .tls = tls};
  out.port = tls == true ? 443 : 80;
  if (!port_text.empty()) {
    if (!port_text.starts_with(':')) {
      return fail("endpoint \"{}\": no host", whole);
    }
    const Result<std::uint16_t> port = parse_port(port_text.substr(1), whole);
    if (!port) {
      return std::unexpected(port.error());
    }
    out.port = *port;
  }
  return out;
}

}  // namespace

std::string Endpoint::authority() const {
  if (is_unix()) {
    return "localhost";
  }
  return host.contains(':') ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

std::string Endpoint::to_text() const {
  if (is_unix()) {
    return fmt::format("unix{}://{}", tls == true ? "s" : "", socket_path);
  }
  const std::string_view scheme = !tls ? "" : *tls ? "https://" : "http://";
  return fmt::format("{}{}", scheme, authority());
}

Result<Endpoint> parse_endpoint(std::string_view text) {
  const std::size_t mark = text.find("://");
  if (mark == std::string_view::npos) {
    return parse_host_port(text, text, std::nullopt);
  }
  const std::string_view scheme = text.substr(0, mark);
  const std::string_view rest = text.substr(mark + 3);
  if (scheme == "unix" || scheme == "unixs") {
    if (rest.empty() || rest.size() > 107) {  // sun_path
      return fail("endpoint \"{}\": a unix socket's path has 1 to 107 characters", text);
    }
    return Endpoint{.socket_path = std::string(rest), .tls = scheme == "unixs"};
  }
  if (scheme == "http" || scheme == "https") {
    return parse_host_port(rest, text, scheme == "https");
  }
  if (rest.contains('@')) {
    return fail("endpoint with scheme \"{}\": not http, https, unix or unixs", scheme);
  }
  return fail("endpoint \"{}\": scheme is not http, https, unix or unixs", text);
}

}  // namespace flannel

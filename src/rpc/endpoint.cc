#include "rpc/endpoint.h"

#include <algorithm>
#include <charconv>
#include <iterator>

#include "base/ascii_text.h"
#include "base/printable.h"

namespace flannel {
namespace {

constexpr std::string_view kSchemes[] = {"http", "https", "unix", "unixs"};

Result<std::uint16_t> parse_port(std::string_view text, std::string_view whole) {
  std::uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc() || rest != end || port == 0) {
    return fail("endpoint \"{}\": port \"{}\" is not between 1 and 65535", printable(whole),
                printable(text));
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
  if (text.contains('@')) {  // before anything else: a password may have any character
    return fail("an endpoint contains a user name; give it by its own option");
  }
  text = text.substr(0, text.find_first_of("/?#"));
  const auto [host, port_text] = split_host(text);
  if (host.empty() || host.find_first_of(" \t\r\n\"[]") != std::string_view::npos) {
    return fail("endpoint \"{}\": no host", printable(whole));
  }
  Endpoint out{.host = std::string(host), .tls = tls};
  out.port = tls == true ? 443 : 80;
  if (!port_text.empty()) {
    if (!port_text.starts_with(':')) {
      return fail("endpoint \"{}\": no host", printable(whole));
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

std::string authority(const std::string& host, std::uint16_t port) {
  return host.contains(':') ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

std::string Endpoint::authority() const {
  if (is_unix()) {
    return "localhost";
  }
  return flannel::authority(host, port);
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
  const std::string scheme = lower_case(text.substr(0, mark));
  const std::string_view rest = text.substr(mark + 3);
  if (scheme == "unix" || scheme == "unixs") {
    if (rest.empty() || rest.size() > 107) {  // sun_path
      return fail("endpoint \"{}\": a unix socket's path has 1 to 107 characters", printable(text));
    }
    return Endpoint{.socket_path = std::string(rest), .tls = scheme == "unixs"};
  }
  if (scheme == "http" || scheme == "https") {
    return parse_host_port(rest, text, scheme == "https");
  }
  if (rest.contains('@')) {
    return fail(
        "an endpoint contains a user name, and its scheme is not http, https, unix or unixs");
  }
  return fail("endpoint \"{}\": scheme is not http, https, unix or unixs", printable(text));
}

Result<std::vector<Endpoint>> parse_endpoints(std::string_view list) {
  std::vector<Endpoint> out;
  for (std::size_t start = 0; start <= list.size();) {
    const std::size_t comma = std::min(list.find(',', start), list.size());
    const std::string_view text = trim(list.substr(start, comma - start));
    start = comma + 1;
    if (text.empty()) {
      continue;
    }
    const Result<Endpoint> endpoint = parse_endpoint(text);
    // This may be one half of a password with a comma in it.
    if (!endpoint && list.contains('@')) {
      return fail("an endpoint cannot be read; a user name has its own option");
    }
    if (!endpoint) {
      return std::unexpected(endpoint.error());
    }
    out.push_back(*endpoint);
  }
  if (out.empty()) {
    return fail("no endpoint is given");
  }
  return out;
}

std::string without_credentials(std::string_view list) {
  const std::size_t at = list.rfind('@');
  if (at == std::string_view::npos) {
    return std::string(list);
  }
  const std::size_t mark = list.find("://");
  const std::string scheme = lower_case(list.substr(0, mark));
  const bool known = std::ranges::find(kSchemes, scheme) != std::end(kSchemes);
  return fmt::format("{}(hidden){}", known ? scheme + "://" : "", list.substr(at));
}

}  // namespace flannel

#include "rpc/proxy.h"

#include <algorithm>

#include "base/ascii_text.h"
#include "base/base64.h"
#include "base/ip.h"
#include "base/percent.h"
#include "base/printable.h"

namespace flannel {
namespace {

// One entry of NO_PROXY: in lower case, neither empty nor `*`.
bool is_meant(std::string_view entry, std::string_view host, const std::optional<IpAddr>& ip,
              std::uint16_t port) {
  if (const Result<Prefix> network = Prefix::parse(entry); entry.contains('/')) {
    return network && ip && network->contains(*ip);
  }
  std::string_view name = entry, only;
  if (entry.starts_with('[')) {
    const std::size_t close = std::min(entry.find(']'), entry.size());
    name = entry.substr(1, close - 1);
    only = entry.substr(std::min(close + 1, entry.size()));
  } else if (std::ranges::count(entry, ':') == 1) {
    name = entry.substr(0, entry.find(':'));
    only = entry.substr(entry.find(':'));
  }
  if (name.empty() || (!only.empty() && only.substr(1) != std::to_string(port))) {
    return false;
  }
  if (const Result<IpAddr> address = IpAddr::parse(name)) {
    return ip == *address;
  }
  name.remove_prefix(name.starts_with("*.") ? 1 : 0);
  if (name.starts_with('.')) {
    return host.ends_with(name);
  }
  return host == name || host.ends_with(fmt::format(".{}", name));
}

}  // namespace

Result<Proxy> parse_proxy(std::string_view url) {
  const std::size_t mark = url.find("://");
  const std::string scheme =
      mark == std::string_view::npos ? "http" : lower_case(url.substr(0, mark));
  std::string_view rest = mark == std::string_view::npos ? url : url.substr(mark + 3);
  if (scheme != "http") {
    return fail("a proxy of the scheme \"{}\" is not supported, one with http:// is",
                url.contains('@') ? "(hidden)" : printable(scheme));
  }
  rest = rest.substr(0, rest.find_first_of("/?#"));
  const std::size_t at = rest.rfind('@');
  Proxy out;
  if (at != std::string_view::npos) {
    const std::string_view user = rest.substr(0, at);
    const bool has_password = user.contains(':');
    const std::optional<std::string> plain =
        percent_decode(fmt::format("{}{}", user, has_password ? "" : ":"));
    if (!plain) {
      return fail("the user name of the proxy cannot be read");
    }
    out.authorization = "Basic " + base64_encode(*plain);
    rest.remove_prefix(at + 1);
  } else if (url.contains('@')) {
    return fail("the proxy cannot be read: a password has / as %2F, ? as %3F and # as %23");
  }
  Result<Endpoint> endpoint = parse_endpoint(fmt::format("http://{}", rest));
  if (!endpoint) {
    return std::unexpected(endpoint.error());
  }
  out.host = std::move(endpoint->host);
  out.port = endpoint->port;
  return out;
}

bool is_without_proxy(std::string_view list, const Endpoint& server) {
  const std::string host = lower_case(server.host);
  const Result<IpAddr> parsed = IpAddr::parse(host);
  const std::optional<IpAddr> ip = parsed ? std::optional(*parsed) : std::nullopt;
  if (server.is_unix() || host == "localhost" || (ip && ip->is_loopback())) {
    return true;
  }
  for (std::size_t start = 0; start <= list.size();) {
    const std::size_t comma = std::min(list.find(',', start), list.size());
    const std::string entry = lower_case(trim(list.substr(start, comma - start)));
    start = comma + 1;
    if (entry == "*" || (!entry.empty() && is_meant(entry, host, ip, server.port))) {
      return true;
    }
  }
  return false;
}

Result<std::optional<Proxy>> proxy_for(const ProxyVariables& variables, const Endpoint& server) {
  const bool secure = server.tls == true;
  const std::string& url = secure ? variables.https : variables.http;
  if (url.empty() || is_without_proxy(variables.no_proxy, server)) {
    return std::nullopt;
  }
  Result<Proxy> proxy = parse_proxy(url);
  if (!proxy) {
    return fail("{}: {}; NO_PROXY may name {}, so that it is reached directly",
                secure ? "HTTPS_PROXY" : "HTTP_PROXY", proxy.error().text, server.host);
  }
  return std::optional(std::move(*proxy));
}

std::string connect_request(const Proxy& proxy, const std::string& authority) {
  const std::string who = proxy.authorization.empty()
                              ? ""
                              : fmt::format("Proxy-Authorization: {}\r\n", proxy.authorization);
  return fmt::format("CONNECT {0} HTTP/1.1\r\nHost: {0}\r\n{1}\r\n", authority, who);
}

Result<void> check_connect_answer(std::string_view head) {
  const std::string_view line = head.substr(0, head.find_first_of("\r\n"));
  // `HTTP/1.1 200 Connection established`
  const std::string_view status = line.size() < 12 ? std::string_view() : line.substr(9, 3);
  if (!line.starts_with("HTTP/1.") || (line.size() > 8 && line[8] != ' ')) {
    return fail("it is no HTTP proxy: \"{}\"", printable(line));
  }
  if (!status.starts_with('2')) {
    return fail("it says \"{}\"{}", printable(line),
                status == "407" ? ": user and password belong into its URL" : "");
  }
  return {};
}

}  // namespace flannel

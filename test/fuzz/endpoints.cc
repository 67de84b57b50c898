// Fuzzes lists of endpoints and proxies, and what a proxy answers: any text gives endpoints that
// are read again from their own text, or an error; neither the error nor the text for people has a
// part of what may be a password.
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>

#include "rpc/endpoint.h"
#include "rpc/proxy.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flannel;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Result<std::vector<Endpoint>> endpoints = parse_endpoints(text);
  for (const Endpoint& endpoint : endpoints.value_or(std::vector<Endpoint>())) {
    const Result<Endpoint> again = parse_endpoint(endpoint.to_text());
    if (!again || again->to_text() != endpoint.to_text()) {
      std::abort();
    }
  }
  constexpr std::string_view kSecret = "geheim-9f3a";
  const std::string guarded = "http://user:" + std::string(text) + std::string(kSecret) + "@host:1";
  // A socket's path may have an @; all else is refused.
  const Result<std::vector<Endpoint>> read = parse_endpoints(guarded);
  if ((read && !read->back().is_unix()) || (!read && read.error().text.contains(kSecret)) ||
      without_credentials(guarded).contains(kSecret)) {
    std::abort();
  }
  const Result<Proxy> proxy = parse_proxy(guarded);
  const Result<Proxy> other = parse_proxy(text);
  if ((!proxy && proxy.error().text.contains(kSecret)) || (other && other->port == 0)) {
    std::abort();
  }
  // As HTTPS_PROXY and NO_PROXY.
  const Result<std::optional<Proxy>> chosen =
      proxy_for({.https = guarded, .http = "", .no_proxy = std::string(text)},
                {.host = "kube.test", .port = 443, .tls = true});
  if (!chosen && chosen.error().text.contains(kSecret)) {
    std::abort();
  }
  is_without_proxy(text, {.host = "kube.test", .port = 443});
  is_without_proxy(text, {.host = "fd99::1", .port = 443});
  const Result<void> connected = check_connect_answer(text);
  if (connected && !text.starts_with("HTTP/1.")) {
    std::abort();
  }
  return 0;
}

// Fuzzes lists of endpoints: any text gives endpoints that are read again from their own text, or
// an error; neither the error nor the text for people has a part of what may be a password.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "rpc/endpoint.h"

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
  return 0;
}

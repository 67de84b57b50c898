// Bytes as %XX, as in URLs and the trailers of gRPC: RFC 3986, 2.1.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace flannel {

// Every byte but the unreserved ones (2.3).
std::string percent_encode(std::string_view text);

// Nothing where a % is not followed by two digits.
std::optional<std::string> percent_decode(std::string_view text);

}  // namespace flannel

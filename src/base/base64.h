// Bytes as text: RFC 4648, 4.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace flannel {

std::string base64_encode(std::string_view bytes);

// With padding; ends of lines between the digits are passed over. Nothing where it is none.
std::optional<std::string> base64_decode(std::string_view text);

}  // namespace flannel

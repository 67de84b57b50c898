#include "base/mac.h"

#include <charconv>

namespace flannel {
namespace {

// Groups of `digits` hex digits with `separator` between them: the whole 48 bits, or nothing.
bool parse_groups(std::string_view text, char separator, std::size_t digits, Mac& out) {
  const std::size_t groups = 12 / digits;
  if (text.size() != 12 + groups - 1) {
    return false;
  }
  std::size_t byte = 0;
  for (std::size_t group = 0; group < groups; ++group) {
    const std::size_t start = group * (digits + 1);
    if (group > 0 && text[start - 1] != separator) {
      return false;
    }
    for (std::size_t at = start; at < start + digits; at += 2) {
      const char* first = text.data() + at;
      const auto [end, error] = std::from_chars(first, first + 2, out.bytes[byte++], 16);
      if (error != std::errc() || end != first + 2) {
        return false;
      }
    }
  }
  return true;
}

}  // namespace

Result<Mac> Mac::parse(std::string_view text) {
  Mac out;
  if (parse_groups(text, ':', 2, out) || parse_groups(text, '-', 2, out) ||
      parse_groups(text, '.', 4, out)) {
    return out;
  }
  return fail("invalid MAC address: {}", text);
}

Mac Mac::local(std::uint64_t seed) {
  Mac out;
  for (std::size_t i = 6; i-- > 0; seed >>= 8) {
    out.bytes[i] = static_cast<std::uint8_t>(seed);
  }
  out.bytes[0] = static_cast<std::uint8_t>((out.bytes[0] & ~1U) | 2U);
  return out;
}

std::string Mac::to_text() const {
  return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", bytes[0], bytes[1], bytes[2],
                     bytes[3], bytes[4], bytes[5]);
}

}  // namespace flannel

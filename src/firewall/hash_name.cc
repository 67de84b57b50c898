#include "firewall/hash_name.h"

#include <sha512.h>

#include <array>
#include <cstdint>

namespace flannel {

std::string hash_name(std::string_view prefix, std::string_view text, std::size_t length) {
  SHA512_CTX context;
  std::array<std::uint8_t, SHA512_DIGEST_LENGTH> digest;
  SHA512Init(&context);
  SHA512Update(&context, reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
  SHA512Final(digest.data(), &context);
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string name(prefix);
  for (const std::uint8_t byte : digest) {
    name.push_back(kDigits[byte >> 4]);
    name.push_back(kDigits[byte & 15]);
  }
  return name.substr(0, length);
}

}  // namespace flannel

// IP addresses and prefixes of both families, with the text forms Go's net package uses.
#pragma once

#include <array>
#include <bit>
#include <compare>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace flannel {

enum class Family : std::uint8_t { v4, v6 };
inline constexpr std::array kFamilies = {Family::v4, Family::v6};
// `IPv4`, `IPv6`
constexpr std::string_view to_text(Family family) {
  return family == Family::v4 ? "IPv4" : "IPv6";
}

using Uint128 = unsigned __int128;

// An address. Ordered by family, then numerically.
class IpAddr {
 public:
  // 0.0.0.0
  constexpr IpAddr() = default;

  // From the address as a number in host order; only the low 32 bits count for v4.
  static constexpr IpAddr from_number(Family family, Uint128 number);
  // From 4 or 16 bytes in network order; nothing for any other length.
  static std::optional<IpAddr> from_bytes(std::span<const std::uint8_t> bytes);
  // Dotted quad or RFC 4291 text. A v4-mapped v6 address is the v4 one, as in Go.
  static Result<IpAddr> parse(std::string_view text);

  constexpr Family family() const { return family_; }
  constexpr bool is_v4() const { return family_ == Family::v4; }
  // Address length in bits: 32 or 128.
  constexpr unsigned bits() const { return is_v4() ? 32 : 128; }
  constexpr Uint128 number() const {
    const auto parts = std::bit_cast<std::array<std::uint64_t, 2>>(bytes_);
    const std::uint64_t high = from_network(parts[0]);
    return is_v4() ? high >> 32 : static_cast<Uint128>(high) << 64 | from_network(parts[1]);
  }

  // Network order; the first size() bytes are used, the rest are 0.
  const std::array<std::uint8_t, 16>& bytes() const { return bytes_; }
  constexpr std::size_t size() const { return bits() / 8; }

  bool is_unspecified() const { return number() == 0; }
  bool is_loopback() const;
  bool is_link_local() const;  // 169.254.0.0/16, fe80::/10
  bool is_multicast() const;
  // Unicast and neither loopback, link-local nor unspecified (Go's IsGlobalUnicast).
  bool is_global_unicast() const;

  // `10.5.0.1`, or RFC 5952 canonical text.
  std::string to_text() const;

  auto operator<=>(const IpAddr&) const = default;

 private:
  static constexpr std::uint64_t from_network(std::uint64_t bytes) {
    return std::endian::native == std::endian::little ? __builtin_bswap64(bytes) : bytes;
  }

  // Bytes rather than a number: tables hold thousands of these, and 17 bytes align to 1.
  Family family_ = Family::v4;
  std::array<std::uint8_t, 16> bytes_{};
};

// An address and a prefix length. `ip` may have host bits set: 10.5.60.1/24 is an
// interface's address, masked() is its network.
struct Prefix {
  IpAddr ip;
  std::uint8_t length = 0;

  // `ADDRESS/LENGTH`, host bits kept; the error is Go's, `invalid CIDR address: …`.
  static Result<Prefix> parse(std::string_view text);

  Family family() const { return ip.family(); }
  // With the host bits cleared.
  Prefix masked() const;
  bool contains(const IpAddr& address) const;
  bool contains(const Prefix& other) const;
  bool overlaps(const Prefix& other) const;
  // Number of addresses, 0 for 2^128.
  Uint128 size() const;
  // `10.5.0.0/16`
  std::string to_text() const;

  auto operator<=>(const Prefix&) const = default;
};

constexpr IpAddr IpAddr::from_number(Family family, Uint128 number) {
  IpAddr out;
  out.family_ = family;
  for (std::size_t i = out.size(); i-- > 0; number >>= 8) {
    out.bytes_[i] = static_cast<std::uint8_t>(number);
  }
  return out;
}

}  // namespace flannel

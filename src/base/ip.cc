#include "base/ip.h"

#include <arpa/inet.h>

#include <charconv>

namespace flannel {
namespace {

// All ones above the host part of a prefix of `length` bits.
Uint128 mask(Family family, unsigned length) {
  const unsigned bits = family == Family::v4 ? 32 : 128;
  const Uint128 all = family == Family::v4 ? 0xffffffffU : ~static_cast<Uint128>(0);
  return length == 0 ? 0 : all << (bits - length) & all;
}

}  // namespace

std::optional<IpAddr> IpAddr::from_bytes(std::span<const std::uint8_t> bytes) {
  if (bytes.size() != 4 && bytes.size() != 16) {
    return std::nullopt;
  }
  Uint128 number = 0;
  for (const std::uint8_t byte : bytes) {
    number = number << 8 | byte;
  }
  return from_number(bytes.size() == 4 ? Family::v4 : Family::v6, number);
}

Result<IpAddr> IpAddr::parse(std::string_view text) {
  const std::string terminated(text);
  std::array<std::uint8_t, 16> raw{};
  if (inet_pton(AF_INET, terminated.c_str(), raw.data()) == 1) {
    return *from_bytes(std::span(raw).first<4>());
  }
  if (inet_pton(AF_INET6, terminated.c_str(), raw.data()) == 1) {
    const IpAddr v6 = *from_bytes(raw);
    if (v6.number() >> 32 == 0xffff) {
      return from_number(Family::v4, v6.number());
    }
    return v6;
  }
  return fail("invalid IP address: {}", text);
}

std::array<std::uint8_t, 16> IpAddr::bytes() const {
  std::array<std::uint8_t, 16> out{};
  Uint128 rest = number();
  for (std::size_t i = size(); i-- > 0; rest >>= 8) {
    out[i] = static_cast<std::uint8_t>(rest);
  }
  return out;
}

bool IpAddr::is_loopback() const {
  return is_v4() ? low_ >> 24 == 127 : number() == 1;
}

bool IpAddr::is_link_local() const {
  return is_v4() ? low_ >> 16 == 0xa9fe : high_ >> 54 == 0xfe80 >> 6;
}

bool IpAddr::is_multicast() const {
  return is_v4() ? low_ >> 28 == 0xe : high_ >> 56 == 0xff;
}

bool IpAddr::is_global_unicast() const {
  const bool broadcast = is_v4() && low_ == 0xffffffff;
  return !broadcast && !is_unspecified() && !is_loopback() && !is_multicast() && !is_link_local();
}

std::string IpAddr::to_text() const {
  // inet_ntop writes ::1.2.3.4 for the long deprecated v4-compatible form; RFC 5952 and Go do not.
  if (!is_v4() && high_ == 0 && low_ >> 32 == 0 && low_ > 0xffff) {
    return fmt::format("::{:x}:{:x}", low_ >> 16, low_ & 0xffff);
  }
  const std::array<std::uint8_t, 16> raw = bytes();
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(is_v4() ? AF_INET : AF_INET6, raw.data(), text.data(), text.size());
  return text.data();
}

Result<Prefix> Prefix::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) {
    return fail("invalid CIDR address: {}", text);
  }
  const Result<IpAddr> ip = IpAddr::parse(text.substr(0, slash));
  const std::string_view digits = text.substr(slash + 1);
  unsigned length = 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), length);
  if (!ip || error != std::errc() || end != digits.end() || length > ip->bits()) {
    return fail("invalid CIDR address: {}", text);
  }
  return Prefix{*ip, static_cast<std::uint8_t>(length)};
}

Prefix Prefix::masked() const {
  return {IpAddr::from_number(family(), ip.number() & mask(family(), length)), length};
}

bool Prefix::contains(const IpAddr& address) const {
  return address.family() == family() &&
         ((address.number() ^ ip.number()) & mask(family(), length)) == 0;
}

bool Prefix::contains(const Prefix& other) const {
  return length <= other.length && contains(other.ip);
}

bool Prefix::overlaps(const Prefix& other) const {
  return contains(other.ip) || other.contains(ip);
}

Uint128 Prefix::size() const {
  const unsigned host_bits = ip.bits() - length;
  return host_bits == 128 ? 0 : static_cast<Uint128>(1) << host_bits;
}

std::string Prefix::to_text() const {
  return fmt::format("{}/{}", ip.to_text(), length);
}

}  // namespace flannel

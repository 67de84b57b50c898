#include "base/ip.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "base/printable.h"

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
  IpAddr out;
  out.family_ = bytes.size() == 4 ? Family::v4 : Family::v6;
  std::copy(bytes.begin(), bytes.end(), out.bytes_.begin());
  return out;
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
  return fail("invalid IP address: {}", printable(text));
}

bool IpAddr::is_loopback() const {
  return is_v4() ? bytes_[0] == 127 : number() == 1;
}

bool IpAddr::is_link_local() const {
  return is_v4() ? bytes_[0] == 169 && bytes_[1] == 254
                 : bytes_[0] == 0xfe && (bytes_[1] & 0xc0) == 0x80;
}

bool IpAddr::is_multicast() const {
  return is_v4() ? bytes_[0] >> 4 == 0xe : bytes_[0] == 0xff;
}

bool IpAddr::is_global_unicast() const {
  const bool broadcast = is_v4() && number() == 0xffffffff;
  return !broadcast && !is_unspecified() && !is_loopback() && !is_multicast() && !is_link_local();
}

std::string IpAddr::to_text() const {
  if (is_v4()) {
    return fmt::format("{}.{}.{}.{}", bytes_[0], bytes_[1], bytes_[2], bytes_[3]);
  }
  // inet_ntop writes ::1.2.3.4 for the long deprecated v4-compatible form; RFC 5952 and Go do not.
  if (number() >> 32 == 0 && number() > 0xffff) {
    const std::uint32_t low = static_cast<std::uint32_t>(number());
    return fmt::format("::{:x}:{:x}", low >> 16, low & 0xffff);
  }
  std::array<char, INET6_ADDRSTRLEN> text{};
  inet_ntop(AF_INET6, bytes_.data(), text.data(), text.size());
  return text.data();
}

Result<Prefix> Prefix::parse(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) {
    return fail("invalid CIDR address: {}", printable(text));
  }
  const Result<IpAddr> ip = IpAddr::parse(text.substr(0, slash));
  const std::string_view digits = text.substr(slash + 1);
  unsigned length = 0;
  const auto [end, error] = std::from_chars(digits.begin(), digits.end(), length);
  if (!ip || error != std::errc() || end != digits.end() || length > ip->bits()) {
    return fail("invalid CIDR address: {}", printable(text));
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

// Ethernet addresses.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace flannel {

struct Mac {
  std::array<std::uint8_t, 6> bytes{};

  // The forms Go's net.ParseMAC takes for 48 bits: 02:00:5e:10:00:01, 02-00-5e-10-00-01,
  // 0200.5e10.0001; either case.
  static Result<Mac> parse(std::string_view text);
  // A locally administered unicast address made of `seed`'s low 48 bits.
  static Mac local(std::uint64_t seed);

  bool is_zero() const { return *this == Mac{}; }
  bool is_multicast() const { return (bytes[0] & 1) != 0; }
  // `02:00:5e:10:00:01`
  std::string to_text() const;

  // Its 48 bits.
  constexpr std::uint64_t number() const {
    std::uint64_t number = 0;
    for (const std::uint8_t byte : bytes) {
      number = number << 8 | byte;
    }
    return number;
  }

  auto operator<=>(const Mac&) const = default;
};

}  // namespace flannel

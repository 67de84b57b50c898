// What lies on devices, and the routes that lead to them.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>

#include "base/ip.h"
#include "base/mac.h"
#include "kernel/kind.h"

namespace flannel {

// The routing protocol number that marks our routes and nexthops (`ip route … proto 70`).
inline constexpr std::uint8_t kRouteProtocol = 70;

struct Address {  // scope global, no label
  struct Key {
    Dev dev;
    Prefix prefix;  // host bits kept
    auto operator<=>(const Key&) const = default;
  } key;
  bool operator==(const Address&) const = default;

  static constexpr bool kOfNode = true;
  // With a device's last IPv4 address all IPv4 routes by it go.
  static constexpr DumpAfter kDumpAfter{.removed = true};
  Reference needs() const { return {key.dev}; }
  std::string text() const;
};

struct Neighbour {  // inner IP -> inner MAC, permanent
  struct Key {
    Dev dev;
    IpAddr ip;
    auto operator<=>(const Key&) const = default;
  } key;
  Mac mac;
  bool operator==(const Neighbour&) const = default;

  Reference needs() const { return {key.dev}; }
  std::string text() const;
};

struct FdbEntry {  // inner MAC -> outer IP, permanent, of the device itself
  struct Key {
    Dev dev;
    Mac mac;
    auto operator<=>(const Key&) const = default;
  } key;
  IpAddr remote;
  // By the device's own port and VNI, and by no device of the entry's choice, as all of ours.
  bool plain = true;
  bool operator==(const FdbEntry&) const = default;

  // Whose one is that was not there, its neighbour says.
  static constexpr DumpAfter kDumpAfter{.added = true};
  Reference needs() const { return {key.dev}; }
  std::string text() const;
};

struct Nexthop {  // protocol kRouteProtocol
  struct Key {
    std::uint32_t id = 0;
    auto operator<=>(const Key&) const = default;
  } key;
  IpAddr via;
  Dev dev;
  bool onlink = false;
  bool operator==(const Nexthop&) const = default;

  // Its routes go with it.
  static constexpr DumpAfter kDumpAfter{.removed = true};
  Reference needs() const { return {dev}; }
  Reference provides() const { return {.dev = {}, .nexthop = key.id}; }
  std::string text() const;
};

struct Route {  // main table, TOS 0
  struct Key {
    Prefix dst;
    std::uint32_t metric = 0;  // RTA_PRIORITY; the kernel's default for v6 is 1024
    // How many other routes of this destination and metric come before it (`ip route prepend`): the
    // kernel uses none but the first, and none other is ever wanted.
    std::uint32_t place = 0;
    auto operator<=>(const Key&) const = default;
  } key;
  // Either a nexthop object, and the next three are empty, or a path of the route's own.
  std::uint32_t nexthop = 0;
  std::optional<IpAddr> via;
  Dev dev;
  bool onlink = false;
  std::uint8_t protocol = kRouteProtocol;
  // RTN_UNICAST or RTN_BLACKHOLE (linux/rtnetlink.h); those of others may be of any type.
  std::uint8_t type = 1;
  bool operator==(const Route&) const = default;

  // Which of several of one key the kernel then uses is not said.
  static constexpr DumpAfter kDumpAfter{.changed = true, .removed = true};
  Reference needs() const { return {dev, nexthop}; }
  std::string text() const;
};

}  // namespace flannel

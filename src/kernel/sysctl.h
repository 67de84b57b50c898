// Settings of network devices.
#pragma once

#include <cerrno>
#include <compare>
#include <string>
#include <string_view>

#include "kernel/kind.h"

namespace flannel {

// A setting below /proc/sys/net/ipv6/conf/DEV.
struct Sysctl {
  struct Key {
    Dev dev;
    std::string name;  // `accept_ra`
    auto operator<=>(const Key&) const = default;
  } key;
  std::string value;
  bool operator==(const Sysctl&) const = default;

  static constexpr bool kSetting = true;
  Reference needs() const { return {key.dev}; }
  // `sysctl net/ipv6/conf/flannel.1/accept_ra=0`, which the program takes; with dots it would take
  // the device's for its own.
  std::string text() const;
};

// 0: no router advertisements are taken in. The overlay has no routers that advertise themselves,
// and a pod must not play one.
inline constexpr std::string_view kAcceptRa = "accept_ra";
// 0: the device can have IPv6 addresses. A host may have it off by default
// (net.ipv6.conf.default) and on where it is wanted.
inline constexpr std::string_view kDisableIpv6 = "disable_ipv6";

// Whether the overlay works without it: what only protects is not worth a node that calls itself
// degraded for as long as it runs.
inline bool is_protection(const Sysctl& setting) {
  return setting.key.name == kAcceptRa;
}

// Settings cannot be written in this process's place: /proc/sys is read-only, as in a container
// without privileges, or the right to is missing.
inline bool is_fixed(int error) {
  return error == EROFS || error == EACCES || error == EPERM;
}
struct FixedSettings {
  std::string reason;     // the kernel's
  std::string accept_ra;  // what a new device has
  bool operator==(const FixedSettings&) const = default;
};

}  // namespace flannel

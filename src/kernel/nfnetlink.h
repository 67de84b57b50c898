// What messages of netfilter's parts have in common (linux/netfilter/nfnetlink.h).
#pragma once

#include <linux/netfilter/nfnetlink.h>

#include <cstdint>

namespace flannel::netlink {

// Of NFNL_SUBSYS_… and its message.
constexpr std::uint16_t nfnetlink_type(int subsystem, int message) {
  return static_cast<std::uint16_t>(subsystem << 8 | message);
}

// `family`: NFPROTO_…, or AF_…, which are the same numbers.
constexpr nfgenmsg nfnetlink_header(std::uint8_t family) {
  return {.nfgen_family = family, .version = NFNETLINK_V0, .res_id = 0};
}

}  // namespace flannel::netlink

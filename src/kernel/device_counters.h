// What passed through devices, as the kernel counts it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kernel/dev.h"
#include "kernel/netlink_message.h"

namespace flannel {

// Since the device was made (`ip -s link`; struct rtnl_link_stats64 of linux/if_link.h).
struct DeviceCounters {
  struct Direction {
    std::uint64_t bytes = 0, packets = 0, errors = 0, dropped = 0;
    bool operator==(const Direction&) const = default;
  };
  Direction receive, transmit;
  bool operator==(const DeviceCounters&) const = default;
};

// One a device, in their order; nothing for one that is not there. Throws std::system_error.
std::vector<std::optional<DeviceCounters>> read_device_counters(std::span<const Dev> devices);

// Of RTM_NEWLINK; nothing for other messages, and without statistics.
std::optional<DeviceCounters> decode_device_counters(const netlink::MessageView& message);

}  // namespace flannel

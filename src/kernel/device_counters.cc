#include "kernel/device_counters.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include "kernel/netlink_socket.h"

namespace flannel {

std::optional<DeviceCounters> decode_device_counters(const netlink::MessageView& message) {
  netlink::Bytes rest = message.payload;
  if (message.type != RTM_NEWLINK || !netlink::take_header<ifinfomsg>(rest)) {
    return std::nullopt;
  }
  const auto attribute = netlink::find_attribute(rest, IFLA_STATS64);
  netlink::Bytes data = attribute ? attribute->data : netlink::Bytes();
  const auto found = netlink::take_header<rtnl_link_stats64>(data);
  if (!found) {
    return std::nullopt;
  }
  return DeviceCounters{{found->rx_bytes, found->rx_packets, found->rx_errors, found->rx_dropped},
                        {found->tx_bytes, found->tx_packets, found->tx_errors, found->tx_dropped}};
}

std::vector<std::optional<DeviceCounters>> read_device_counters(std::span<const Dev> devices) {
  netlink::RequestSocket socket;
  std::vector<std::optional<DeviceCounters>> counters;
  for (const Dev& device : devices) {
    netlink::Batch request;
    request.ask(RTM_GETLINK, ifinfomsg{});
    request.put_text(IFLA_IFNAME, device.text());
    std::optional<DeviceCounters>& found = counters.emplace_back();
    socket.transact(request, [&found](std::size_t, const netlink::MessageView& message) {
      found = decode_device_counters(message);
    });
  }
  return counters;
}

}  // namespace flannel

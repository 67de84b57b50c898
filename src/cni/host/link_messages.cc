#include "cni/host/link_messages.h"

#include <linux/if.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/veth.h>
#include <sys/socket.h>

namespace flannel::cni {
namespace {

using netlink::Batch;
using netlink::Bytes;

int socket_family(const IpAddr& ip) {
  return ip.is_v4() ? AF_INET : AF_INET6;
}

std::uint8_t header_family(const IpAddr& ip) {
  return static_cast<std::uint8_t>(socket_family(ip));
}

// The highest address of a subnet, as `ip address add … brd +`; none where there is no room.
std::optional<IpAddr> broadcast_of(const Prefix& address) {
  if (!address.ip.is_v4() || address.length > 30) {
    return std::nullopt;
  }
  const Uint128 hosts = (Uint128{1} << (32 - address.length)) - 1;
  return IpAddr::from_number(Family::v4, address.ip.number() | hosts);
}

// One queue each way: veth makes one a processor and then gives all but one back, which takes half
// the time of making the pair.
void put_queues(Batch& batch) {
  batch.put_u32(IFLA_NUM_TX_QUEUES, 1);
  batch.put_u32(IFLA_NUM_RX_QUEUES, 1);
}

}  // namespace

ifinfomsg link_header(int index, unsigned flags, unsigned change) {
  ifinfomsg header{};
  header.ifi_index = index;
  header.ifi_flags = flags;
  header.ifi_change = change;
  return header;
}

ifaddrmsg address_header(int index, const Prefix& address) {
  ifaddrmsg header{};
  header.ifa_family = header_family(address.ip);
  header.ifa_prefixlen = address.length;
  header.ifa_index = static_cast<std::uint32_t>(index);
  return header;
}

void encode_address(Batch& batch, int index, const Prefix& address, std::uint8_t flags) {
  ifaddrmsg header = address_header(index, address);
  header.ifa_flags = flags;
  batch.begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, header);
  batch.put_ip(IFA_LOCAL, address.ip);
  batch.put_ip(IFA_ADDRESS, address.ip);
  if (const std::optional<IpAddr> broadcast = broadcast_of(address)) {
    batch.put_ip(IFA_BROADCAST, *broadcast);
  }
}

void encode_up(Batch& batch, int index) {
  batch.begin(RTM_SETLINK, 0, link_header(index, IFF_UP, IFF_UP));
  const std::size_t spec = batch.nest(IFLA_AF_SPEC);
  const std::size_t v4 = batch.nest(AF_INET);
  const std::size_t settings = batch.nest(IFLA_INET_CONF);
  batch.put_u32(IPV4_DEVCONF_ARP_NOTIFY, 1);
  batch.end_nest(settings);
  batch.end_nest(v4);
  batch.end_nest(spec);
}

void encode_route(Batch& batch, int index, const ResultRoute& route) {
  rtmsg header{};
  header.rtm_family = header_family(route.dst.ip);
  header.rtm_dst_len = route.dst.length;
  header.rtm_protocol = RTPROT_BOOT;
  header.rtm_type = RTN_UNICAST;
  header.rtm_scope = static_cast<std::uint8_t>(route.scope.value_or(RT_SCOPE_UNIVERSE));
  const std::uint32_t table = static_cast<std::uint32_t>(route.table.value_or(RT_TABLE_MAIN));
  header.rtm_table = static_cast<std::uint8_t>(table > 255 ? RT_TABLE_COMPAT : table);
  batch.begin(RTM_NEWROUTE, NLM_F_CREATE, header);
  batch.put_ip(RTA_DST, route.dst.masked().ip);
  batch.put_u32(RTA_TABLE, table);
  batch.put_u32(RTA_OIF, static_cast<std::uint32_t>(index));
  if (route.gw) {
    batch.put_ip(RTA_GATEWAY, *route.gw);
  }
  if (route.priority != 0) {
    batch.put_u32(RTA_PRIORITY, static_cast<std::uint32_t>(route.priority));
  }
  if (route.mtu != 0 || route.advmss != 0) {
    const std::size_t metrics = batch.nest(RTA_METRICS);
    if (route.mtu != 0) {
      batch.put_u32(RTAX_MTU, static_cast<std::uint32_t>(route.mtu));
    }
    if (route.advmss != 0) {
      batch.put_u32(RTAX_ADVMSS, static_cast<std::uint32_t>(route.advmss));
    }
    batch.end_nest(metrics);
  }
}

void encode_vlan(Batch& batch, int index, std::uint16_t type, const PortVlan& vlan) {
  ifinfomsg header = link_header(index);
  header.ifi_family = AF_BRIDGE;
  batch.begin(type, 0, header);
  const std::size_t spec = batch.nest(IFLA_AF_SPEC);
  batch.put_u16(IFLA_BRIDGE_FLAGS, BRIDGE_FLAGS_MASTER);
  bridge_vlan_info info{};
  info.vid = vlan.id;
  info.flags = vlan.native ? BRIDGE_VLAN_INFO_PVID | BRIDGE_VLAN_INFO_UNTAGGED : 0;
  batch.put_bytes(IFLA_BRIDGE_VLAN_INFO,
                  Bytes(reinterpret_cast<const std::uint8_t*>(&info), sizeof info));
  batch.end_nest(spec);
}

void encode_veth(Batch& batch, const VethPair& pair) {
  batch.begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, link_header(0, IFF_UP, IFF_UP));
  batch.put_text(IFLA_IFNAME, pair.host_name);
  if (pair.mtu != 0) {
    batch.put_u32(IFLA_MTU, pair.mtu);
  }
  batch.put_u32(IFLA_TXQLEN, 0);
  put_queues(batch);
  if (pair.bridge != 0) {
    batch.put_u32(IFLA_MASTER, static_cast<std::uint32_t>(pair.bridge));
  }
  const std::size_t info = batch.nest(IFLA_LINKINFO);
  batch.put_text(IFLA_INFO_KIND, "veth");
  const std::size_t data = batch.nest(IFLA_INFO_DATA);
  const std::size_t peer = batch.nest(VETH_INFO_PEER);
  batch.put_header(ifinfomsg{});
  batch.put_text(IFLA_IFNAME, pair.container_name);
  if (pair.mtu != 0) {
    batch.put_u32(IFLA_MTU, pair.mtu);
  }
  put_queues(batch);
  if (pair.container_mac) {
    batch.put_mac(IFLA_ADDRESS, *pair.container_mac);
  }
  batch.put_u32(IFLA_NET_NS_FD, static_cast<std::uint32_t>(pair.container_netns));
  batch.end_nest(peer);
  batch.end_nest(data);
  batch.end_nest(info);
}

}  // namespace flannel::cni

// The messages that LinkSocket sends which need more than a line or two.
#pragma once

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

#include <cstdint>

#include "cni/host/link_socket.h"
#include "cni/protocol/result.h"
#include "kernel/netlink_message.h"

namespace flannel::cni {

ifinfomsg link_header(int index, unsigned flags = 0, unsigned change = 0);
ifaddrmsg address_header(int index, const Prefix& address);

// With the broadcast address that the subnet has, and IFA_F_… flags.
void encode_address(netlink::Batch& batch, int index, const Prefix& address,
                    std::uint8_t flags = 0);
// Sets a link up whose addresses the kernel announces (`arp_notify`).
void encode_up(netlink::Batch& batch, int index);
// `proto boot`, by the link.
void encode_route(netlink::Batch& batch, int index, const ResultRoute& route);
// `type` is RTM_SETLINK to add a VLAN to a bridge port, RTM_DELLINK to remove it.
void encode_vlan(netlink::Batch& batch, int index, std::uint16_t type, const PortVlan& vlan);
void encode_veth(netlink::Batch& batch, const VethPair& pair);

}  // namespace flannel::cni

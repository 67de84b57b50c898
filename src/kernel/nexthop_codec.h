// Nexthop objects <-> rtnetlink messages (linux/nexthop.h).
#pragma once

#include <cstdint>
#include <optional>

#include "kernel/net_state.h"
#include "kernel/netlink_message.h"

namespace flannel::netlink {

// `nexthop.dev` is only known by index here; groups and blackholes have neither.
struct NexthopMessage {
  Nexthop nexthop;
  int index = 0;
  std::uint8_t protocol = 0;
};

// RTM_NEWNEXTHOP and RTM_DELNEXTHOP; nothing for other and malformed messages.
std::optional<NexthopMessage> decode_nexthop(const MessageView& message);

// `exclusive`: fails with EEXIST where somebody else has the id.
void encode_put(Batch& batch, const Nexthop& nexthop, int index, bool exclusive);
void encode_remove(Batch& batch, const Nexthop& nexthop);
void encode_dump_nexthops(Batch& batch);

}  // namespace flannel::netlink

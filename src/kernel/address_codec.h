// Interface addresses <-> rtnetlink messages (linux/if_addr.h).
#pragma once

#include <cstdint>
#include <optional>

#include "kernel/kernel.h"
#include "kernel/net_state.h"
#include "kernel/netlink_message.h"

namespace flannel::netlink {

struct AddressMessage {
  HostAddress address;
  int index = 0;            // of its device
  std::uint32_t flags = 0;  // IFA_F_…
};

// RTM_NEWADDR and RTM_DELADDR; nothing for other and malformed messages.
std::optional<AddressMessage> decode_address(const MessageView& message);

void encode_put(Batch& batch, const Address& address, int index);
void encode_remove(Batch& batch, const Address& address, int index);
// Asks for the addresses of one device, or of all with index 0.
void encode_dump_addresses(Batch& batch, int index);

}  // namespace flannel::netlink

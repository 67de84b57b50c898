// Neighbours and FDB entries <-> rtnetlink messages (linux/neighbour.h): the same messages; the
// family of an FDB entry is AF_BRIDGE.
#pragma once

#include <optional>
#include <variant>

#include "kernel/net_state.h"
#include "kernel/netlink_message.h"

namespace flannel::netlink {

// `object`'s device is only known by index here.
struct NeighbourMessage {
  std::variant<Neighbour, FdbEntry> object;
  int index = 0;
  bool permanent = false;  // NUD_PERMANENT; and for an FDB entry, of the device itself
};

// RTM_NEWNEIGH and RTM_DELNEIGH; nothing for other and malformed messages, proxies, and FDB
// entries without a remote address.
std::optional<NeighbourMessage> decode_neighbour(const MessageView& message);

void encode_put(Batch& batch, const Neighbour& neighbour, int index);
void encode_remove(Batch& batch, const Neighbour& neighbour, int index);
void encode_put(Batch& batch, const FdbEntry& entry, int index);
// Whatever it leads to: named with its remote alone, an entry of another port is not found.
void encode_remove(Batch& batch, const FdbEntry& entry, int index);
// Ask for one device's entries.
void encode_dump_neighbours(Batch& batch, int index);
void encode_dump_fdb(Batch& batch, int index);

}  // namespace flannel::netlink

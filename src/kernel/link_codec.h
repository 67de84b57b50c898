// Links <-> rtnetlink messages (linux/if_link.h).
#pragma once

#include <cstdint>
#include <optional>

#include "kernel/net_state.h"
#include "kernel/netlink_message.h"

namespace flannel::netlink {

// A link as a message has it. `link.kind`'s lower device and the master are only known by index
// here.
struct LinkMessage {
  Link link;
  int index = 0;
  int lower_index = 0, master_index = 0;  // 0 for none
  bool shared = true;                     // neither NOARP nor point-to-point (Path::shared_link)
  bool ignores_advertisements = false;    // HostInterface's
  bool has_carrier = true;                // HostInterface's
};

// RTM_NEWLINK and RTM_DELLINK; nothing for other messages, bridge ports' and malformed ones.
std::optional<LinkMessage> decode_link(const MessageView& message);

// Creates it, down and without alias: at creation the kernel ignores both.
void encode_add(Batch& batch, const Link& link, int lower_index);
// Alias and state of one that was just created.
void encode_finish_add(Batch& batch, const Link& link);
// What differs of master, MTU, MAC, alias, state and learning of an existing link, in place: a
// message each, since the kernel stops a message at the first thing it refuses. `there` is what
// the kernel has; a master is taken away, and never given.
void encode_change(Batch& batch, const Link& link, const LinkMessage& there);
void encode_remove_link(Batch& batch, int index);
// Asks for one link.
void encode_get_link(Batch& batch, const Dev& name);
// Asks for all; statistics are left out.
void encode_dump_links(Batch& batch);

}  // namespace flannel::netlink

// The unix sockets of a network namespace <-> sock_diag messages (linux/unix_diag.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "kernel/netlink_message.h"

namespace flannel::netlink {

struct UnixSocket {
  std::string name;  // an abstract one begins with a zero byte (unix(7)); may hold any bytes
  // Who made it, as the asker's user namespace numbers users; kernels before 5.3 do not say.
  std::optional<std::uint32_t> uid;
};

// Asks, over NETLINK_SOCK_DIAG, for the sockets that are not connected, as a bound datagram socket
// that nobody uses is.
void encode_dump_unix_sockets(Batch& batch);
// Nothing for sockets without a name, other messages and malformed ones.
std::optional<UnixSocket> decode_unix_socket(const MessageView& message);

}  // namespace flannel::netlink

#include "kernel/unix_socket_codec.h"

#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace flannel::netlink {

void encode_dump_unix_sockets(Batch& batch) {
  unix_diag_req header{};
  header.sdiag_family = AF_UNIX;
  header.udiag_states = 1U << TCP_CLOSE;
  header.udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_UID;
  batch.begin(SOCK_DIAG_BY_FAMILY, 0, header);
}

std::optional<UnixSocket> decode_unix_socket(const MessageView& message) {
  Bytes rest = message.payload;
  const std::optional<unix_diag_msg> header = take_header<unix_diag_msg>(rest);
  if (message.type != SOCK_DIAG_BY_FAMILY || !header || header->udiag_family != AF_UNIX) {
    return std::nullopt;
  }
  UnixSocket out;
  while (const std::optional<Attribute> attribute = next_attribute(rest)) {
    if (attribute->type == UNIX_DIAG_NAME) {
      out.name.assign(attribute->data.begin(), attribute->data.end());
    } else if (attribute->type == UNIX_DIAG_UID) {
      out.uid = attribute->u32();
    }
  }
  return out.name.empty() ? std::nullopt : std::optional(std::move(out));
}

}  // namespace flannel::netlink

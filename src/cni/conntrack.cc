#include "cni/conntrack.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "kernel/netlink_socket.h"

namespace flannel::cni {
namespace {

using netlink::Attribute;
using netlink::Batch;
using netlink::Bytes;
using netlink::MessageView;

constexpr std::uint16_t message_type(int message) {
  return static_cast<std::uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | message);
}

nfgenmsg header_of(Family family) {
  nfgenmsg header{};
  header.nfgen_family = family == Family::v4 ? AF_INET : AF_INET6;
  header.version = NFNETLINK_V0;
  return header;
}

std::optional<Attribute> find(Bytes attributes, std::uint16_t type) {
  while (const std::optional<Attribute> attribute = netlink::next_attribute(attributes)) {
    if (attribute->type == type) {
      return attribute;
    }
  }
  return std::nullopt;
}

// The original direction of a connection: what names it to the kernel.
using Tuple = std::vector<std::uint8_t>;

std::optional<Tuple> udp_tuple(const MessageView& message,
                               const std::vector<std::uint16_t>& ports) {
  Bytes rest = message.payload;
  if (!netlink::take_header<nfgenmsg>(rest)) {
    return std::nullopt;
  }
  const std::optional<Attribute> tuple = find(rest, CTA_TUPLE_ORIG);
  const std::optional<Attribute> proto = tuple ? find(tuple->data, CTA_TUPLE_PROTO) : std::nullopt;
  if (!proto) {
    return std::nullopt;
  }
  const std::optional<Attribute> number = find(proto->data, CTA_PROTO_NUM);
  const std::optional<Attribute> port = find(proto->data, CTA_PROTO_DST_PORT);
  const bool wanted = number && number->u8() == IPPROTO_UDP && port && port->big_endian16() &&
                      std::find(ports.begin(), ports.end(), *port->big_endian16()) != ports.end();
  return wanted ? std::optional(Tuple(tuple->data.begin(), tuple->data.end())) : std::nullopt;
}

}  // namespace

void forget_udp_connections(Family family, const std::vector<std::uint16_t>& ports) {
  netlink::RequestSocket socket(NETLINK_NETFILTER);
  Batch list;
  list.begin(message_type(IPCTNL_MSG_CT_GET), 0, header_of(family));
  const std::vector<Tuple> tuples = socket.dump<Tuple>(
      list, "connections", [&](const MessageView& message) { return udp_tuple(message, ports); });
  for (const Tuple& tuple : tuples) {
    Batch removal;
    removal.begin(message_type(IPCTNL_MSG_CT_DELETE), 0, header_of(family));
    removal.put_bytes(CTA_TUPLE_ORIG | NLA_F_NESTED, tuple);
    socket.transact(removal);  // one that ended meanwhile is fine
  }
}

}  // namespace flannel::cni

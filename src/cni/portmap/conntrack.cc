#include "cni/portmap/conntrack.h"

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

std::uint8_t number_of(Family family) {
  return family == Family::v4 ? AF_INET : AF_INET6;
}

// AF_UNSPEC stands for both.
nfgenmsg header_of(std::uint8_t family) {
  nfgenmsg header{};
  header.nfgen_family = family;
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

// What names a connection to the kernel.
struct Connection {
  std::uint8_t family = AF_UNSPEC;
  std::vector<std::uint8_t> tuple;  // of its original direction
};

std::optional<Connection> decode_udp(const MessageView& message,
                                     const std::vector<std::uint16_t>& ports) {
  Bytes rest = message.payload;
  const std::optional<nfgenmsg> header = netlink::take_header<nfgenmsg>(rest);
  if (!header) {
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
  return wanted ? std::optional(
                      Connection{header->nfgen_family, {tuple->data.begin(), tuple->data.end()}})
                : std::nullopt;
}

}  // namespace

void forget_udp_connections(const std::vector<Family>& families,
                            const std::vector<std::uint16_t>& ports) {
  netlink::RequestSocket socket(NETLINK_NETFILTER);
  // Both families at once: the kernel walks its whole table for each list, however short.
  Batch list;
  list.begin(message_type(IPCTNL_MSG_CT_GET), 0, header_of(AF_UNSPEC));
  const std::vector<Connection> connections =
      socket.dump<Connection>(list, "connections", [&](const MessageView& message) {
        std::optional<Connection> found = decode_udp(message, ports);
        const bool wanted =
            found && std::any_of(families.begin(), families.end(),
                                 [&](Family each) { return number_of(each) == found->family; });
        return wanted ? found : std::nullopt;
      });
  for (const Connection& connection : connections) {
    Batch removal;
    removal.begin(message_type(IPCTNL_MSG_CT_DELETE), 0, header_of(connection.family));
    removal.put_bytes(CTA_TUPLE_ORIG | NLA_F_NESTED, connection.tuple);
    socket.transact(removal);  // one that ended meanwhile is fine
  }
}

}  // namespace flannel::cni

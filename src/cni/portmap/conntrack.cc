#include "cni/portmap/conntrack.h"

#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "kernel/netlink_socket.h"
#include "kernel/nfnetlink.h"

namespace flannel::cni {
namespace {

using netlink::Attribute;
using netlink::Batch;
using netlink::Bytes;
using netlink::MessageView;

std::uint8_t number_of(Family family) {
  return family == Family::v4 ? AF_INET : AF_INET6;
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
  const std::optional<Attribute> tuple = netlink::find_attribute(rest, CTA_TUPLE_ORIG);
  const std::optional<Attribute> proto =
      tuple ? netlink::find_attribute(tuple->data, CTA_TUPLE_PROTO) : std::nullopt;
  if (!proto) {
    return std::nullopt;
  }
  const std::optional<Attribute> number = netlink::find_attribute(proto->data, CTA_PROTO_NUM);
  const std::optional<Attribute> port = netlink::find_attribute(proto->data, CTA_PROTO_DST_PORT);
  const bool wanted = number && number->u8() == IPPROTO_UDP && port && port->big_endian16() &&
                      std::find(ports.begin(), ports.end(), *port->big_endian16()) != ports.end();
  return wanted ? std::optional(
                      Connection{header->nfgen_family, {tuple->data.begin(), tuple->data.end()}})
                : std::nullopt;
}

}  // namespace

void flush_udp_connections(const std::vector<Family>& families,
                           const std::vector<std::uint16_t>& ports) {
  netlink::RequestSocket socket(NETLINK_NETFILTER);
  // Both families at once: the kernel walks its whole table for each list, however short.
  Batch list;
  list.begin(netlink::nfnetlink_type(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_GET), 0,
             netlink::nfnetlink_header(AF_UNSPEC));
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
    removal.begin(netlink::nfnetlink_type(NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE), 0,
                  netlink::nfnetlink_header(connection.family));
    removal.put_bytes(CTA_TUPLE_ORIG | NLA_F_NESTED, connection.tuple);
    socket.transact(removal);  // one that ended meanwhile is fine
  }
}

}  // namespace flannel::cni

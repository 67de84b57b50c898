#include "kernel/nexthop_codec.h"

#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

namespace flannel::netlink {

std::optional<NexthopMessage> decode_nexthop(const MessageView& message) {
  Bytes rest = message.payload;
  const std::optional<nhmsg> header = take_header<nhmsg>(rest);
  if (!header || (message.type != RTM_NEWNEXTHOP && message.type != RTM_DELNEXTHOP)) {
    return std::nullopt;
  }
  NexthopMessage out;
  out.protocol = header->nh_protocol;
  out.nexthop.onlink = (header->nh_flags & RTNH_F_ONLINK) != 0;
  while (const std::optional<Attribute> attribute = next_attribute(rest)) {
    switch (attribute->type) {
      case NHA_ID:
        out.nexthop.key.id = attribute->u32().value_or(0);
        break;
      case NHA_GATEWAY:
        out.nexthop.via = attribute->ip().value_or(IpAddr());
        break;
      case NHA_OIF:
        out.index = static_cast<int>(attribute->u32().value_or(0));
        break;
      default:
        break;
    }
  }
  return out.nexthop.key.id == 0 ? std::nullopt : std::optional(out);
}

void encode_put(Batch& batch, const Nexthop& nexthop, int index, bool exclusive) {
  nhmsg header{};
  header.nh_family = nexthop.via.is_v4() ? AF_INET : AF_INET6;
  header.nh_protocol = kRouteProtocol;
  header.nh_flags = nexthop.onlink ? RTNH_F_ONLINK : 0;
  batch.begin(RTM_NEWNEXTHOP,
              static_cast<std::uint16_t>(NLM_F_CREATE | (exclusive ? NLM_F_EXCL : NLM_F_REPLACE)),
              header);
  batch.put_u32(NHA_ID, nexthop.key.id);
  batch.put_u32(NHA_OIF, static_cast<std::uint32_t>(index));
  batch.put_ip(NHA_GATEWAY, nexthop.via);
}

void encode_remove(Batch& batch, const Nexthop& nexthop) {
  batch.begin(RTM_DELNEXTHOP, 0, nhmsg{});
  batch.put_u32(NHA_ID, nexthop.key.id);
}

void encode_dump_nexthops(Batch& batch) {
  batch.begin(RTM_GETNEXTHOP, 0, nhmsg{});
}

}  // namespace flannel::netlink

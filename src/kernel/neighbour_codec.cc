#include "kernel/neighbour_codec.h"

#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

namespace flannel::netlink {
namespace {

ndmsg header_of(const Neighbour& neighbour, int index) {
  ndmsg header{};
  header.ndm_family = neighbour.key.ip.is_v4() ? AF_INET : AF_INET6;
  header.ndm_ifindex = index;
  header.ndm_state = NUD_PERMANENT;
  return header;
}

ndmsg header_of(const FdbEntry&, int index) {
  ndmsg header{};
  header.ndm_family = AF_BRIDGE;
  header.ndm_ifindex = index;
  header.ndm_state = NUD_PERMANENT;
  header.ndm_flags = NTF_SELF;
  return header;
}

void put_addresses(Batch& batch, const Neighbour& neighbour) {
  batch.put_ip(NDA_DST, neighbour.key.ip);
  batch.put_mac(NDA_LLADDR, neighbour.mac);
}

void put_addresses(Batch& batch, const FdbEntry& entry) {
  batch.put_mac(NDA_LLADDR, entry.key.mac);
  batch.put_ip(NDA_DST, entry.remote);
}

template <class T>
void encode(Batch& batch, std::uint16_t type, std::uint16_t flags, const T& object, int index) {
  batch.begin(type, flags, header_of(object, index));
  put_addresses(batch, object);
}

}  // namespace

std::optional<NeighbourMessage> decode_neighbour(const MessageView& message) {
  Bytes rest = message.payload;
  const std::optional<ndmsg> header = take_header<ndmsg>(rest);
  if (!header || (message.type != RTM_NEWNEIGH && message.type != RTM_DELNEIGH) ||
      (header->ndm_flags & NTF_PROXY) != 0) {
    return std::nullopt;
  }
  std::optional<IpAddr> ip;
  std::optional<Mac> mac;
  bool plain = true;
  while (const std::optional<Attribute> attribute = next_attribute(rest)) {
    switch (attribute->type) {
      case NDA_DST:
        ip = attribute->ip();
        break;
      case NDA_LLADDR:
        mac = attribute->mac();
        break;
      case NDA_PORT:  // only sent where they differ from the device's (vxlan_fdb_info)
      case NDA_VNI:
      case NDA_IFINDEX:
        plain = false;
        break;
      default:
        break;
    }
  }
  NeighbourMessage out;
  out.index = header->ndm_ifindex;
  out.permanent = (header->ndm_state & NUD_PERMANENT) != 0;
  if (header->ndm_family != AF_BRIDGE) {
    // One being resolved has no MAC yet.
    out.object = Neighbour{{{}, ip.value_or(IpAddr())}, mac.value_or(Mac{})};
    return ip ? std::optional(out) : std::nullopt;
  }
  if (!ip || !mac) {
    return std::nullopt;
  }
  out.permanent = out.permanent && (header->ndm_flags & NTF_SELF) != 0;
  out.object = FdbEntry{{{}, *mac}, *ip, plain};
  return out;
}

void encode_put(Batch& batch, const Neighbour& neighbour, int index) {
  encode(batch, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, neighbour, index);
}

void encode_remove(Batch& batch, const Neighbour& neighbour, int index) {
  encode(batch, RTM_DELNEIGH, 0, neighbour, index);
}

void encode_put(Batch& batch, const FdbEntry& entry, int index) {
  encode(batch, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, entry, index);
}

void encode_remove(Batch& batch, const FdbEntry& entry, int index) {
  batch.begin(RTM_DELNEIGH, 0, header_of(entry, index));
  batch.put_mac(NDA_LLADDR, entry.key.mac);
}

void encode_dump_neighbours(Batch& batch, int index) {
  batch.begin(RTM_GETNEIGH, 0, ndmsg{});
  batch.put_u32(NDA_IFINDEX, static_cast<std::uint32_t>(index));
}

void encode_dump_fdb(Batch& batch, int index) {
  ndmsg header{};
  header.ndm_family = AF_BRIDGE;
  header.ndm_ifindex = index;
  batch.begin(RTM_GETNEIGH, 0, header);
}

}  // namespace flannel::netlink

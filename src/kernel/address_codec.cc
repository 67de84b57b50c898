#include "kernel/address_codec.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

namespace flannel::netlink {
namespace {

int address_family(const IpAddr& ip) {
  return ip.is_v4() ? AF_INET : AF_INET6;
}

ifaddrmsg header_of(const Address& address, int index) {
  ifaddrmsg header{};
  header.ifa_family = static_cast<std::uint8_t>(address_family(address.key.prefix.ip));
  header.ifa_prefixlen = address.key.prefix.length;
  header.ifa_scope = RT_SCOPE_UNIVERSE;
  // Nobody else can have it: duplicate address detection would only keep it from use for a second.
  header.ifa_flags = address.key.prefix.ip.is_v4() ? 0 : IFA_F_NODAD;
  header.ifa_index = static_cast<std::uint32_t>(index);
  return header;
}

void put_address(Batch& batch, const Address& address) {
  batch.put_ip(IFA_LOCAL, address.key.prefix.ip);
  batch.put_ip(IFA_ADDRESS, address.key.prefix.ip);
}

}  // namespace

std::optional<AddressMessage> decode_address(const MessageView& message) {
  Bytes rest = message.payload;
  const std::optional<ifaddrmsg> header = take_header<ifaddrmsg>(rest);
  if (!header || (message.type != RTM_NEWADDR && message.type != RTM_DELADDR)) {
    return std::nullopt;
  }
  std::optional<IpAddr> local, peer;
  std::uint32_t flags = header->ifa_flags;
  while (const std::optional<Attribute> attribute = next_attribute(rest)) {
    switch (attribute->type) {
      case IFA_LOCAL:
        local = attribute->ip();
        break;
      case IFA_ADDRESS:
        peer = attribute->ip();
        break;
      case IFA_FLAGS:  // has more bits than the header's
        flags = attribute->u32().value_or(flags);
        break;
      default:
        break;
    }
  }
  const std::optional<IpAddr> ip = local ? local : peer;
  if (!ip || header->ifa_prefixlen > ip->bits()) {
    return std::nullopt;
  }
  AddressMessage out;
  out.index = static_cast<int>(header->ifa_index);
  out.flags = flags;
  out.address.prefix = {*ip, header->ifa_prefixlen};
  out.address.permanent = (flags & IFA_F_PERMANENT) != 0;
  out.address.deprecated = (flags & IFA_F_DEPRECATED) != 0;
  // For IPv4 the same bit means "secondary".
  out.address.temporary = !ip->is_v4() && (flags & IFA_F_TEMPORARY) != 0;
  out.address.tentative = (flags & IFA_F_TENTATIVE) != 0;
  out.address.duplicate = (flags & IFA_F_DADFAILED) != 0;
  return out;
}

void encode_put(Batch& batch, const Address& address, int index) {
  batch.begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, header_of(address, index));
  put_address(batch, address);
}

void encode_remove(Batch& batch, const Address& address, int index) {
  batch.begin(RTM_DELADDR, 0, header_of(address, index));
  put_address(batch, address);
}

void encode_dump_addresses(Batch& batch, int index) {
  ifaddrmsg header{};
  header.ifa_index = static_cast<std::uint32_t>(index);
  batch.begin(RTM_GETADDR, 0, header);
}

}  // namespace flannel::netlink

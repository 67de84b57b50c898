#include "kernel/link_codec.h"

#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/ipv6.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <cstring>

namespace flannel::netlink {
namespace {

// Seconds until a learned entry is forgotten; what the reference sets, and the kernel's default.
constexpr std::uint32_t kAgeing = 300;

struct VxlanMessage {
  Vxlan vxlan;
  int lower_index = 0;
};

VxlanMessage decode_vxlan(Bytes data) {
  VxlanMessage out;
  while (const std::optional<Attribute> attribute = next_attribute(data)) {
    switch (attribute->type) {
      case IFLA_VXLAN_ID:
        out.vxlan.vni = attribute->u32().value_or(0);
        break;
      case IFLA_VXLAN_LINK:
        out.lower_index = static_cast<int>(attribute->u32().value_or(0));
        break;
      case IFLA_VXLAN_LOCAL:
      case IFLA_VXLAN_LOCAL6:
        out.vxlan.local = attribute->ip().value_or(IpAddr());
        break;
      case IFLA_VXLAN_PORT:
        out.vxlan.port = attribute->big_endian16().value_or(0);
        break;
      case IFLA_VXLAN_LEARNING:
        out.vxlan.learning = attribute->u8().value_or(0) != 0;
        break;
      case IFLA_VXLAN_GBP:
        out.vxlan.gbp = true;
        break;
      case IFLA_VXLAN_GROUP:
      case IFLA_VXLAN_GROUP6:
        out.vxlan.group = true;
        break;
      case IFLA_VXLAN_L2MISS:
        out.vxlan.l2miss = attribute->u8().value_or(0) != 0;
        break;
      default:
        break;
    }
  }
  return out;
}

void decode_link_info(Bytes info, LinkMessage& out) {
  const Attribute kind = find_attribute(info, IFLA_INFO_KIND).value_or(Attribute{});
  if (kind.text() == "vxlan") {
    const Attribute data = find_attribute(info, IFLA_INFO_DATA).value_or(Attribute{});
    const VxlanMessage vxlan = decode_vxlan(data.data);
    out.link.kind = vxlan.vxlan;
    out.lower_index = vxlan.lower_index;
  } else {
    out.link.kind = OtherKind{std::string(kind.text())};
  }
}

// The device's settings in net.ipv6.conf, in the order of linux/ipv6.h, DEVCONF_….
void decode_ipv6_settings(Bytes families, LinkMessage& out) {
  const std::optional<Attribute> family = find_attribute(families, AF_INET6);
  const std::optional<Attribute> settings =
      family ? find_attribute(family->data, IFLA_INET6_CONF) : std::nullopt;
  if (!settings) {
    return;
  }
  const auto setting = [&](std::size_t number) {
    std::int32_t value = 0;
    if (settings->data.size() >= (number + 1) * sizeof value) {
      std::memcpy(&value, settings->data.data() + number * sizeof value, sizeof value);
    }
    return value;
  };
  out.ignores_advertisements = setting(DEVCONF_FORWARDING) != 0 && setting(DEVCONF_ACCEPT_RA) == 1;
}

void put_vxlan(Batch& batch, const Vxlan& vxlan, int lower_index) {
  batch.put_u32(IFLA_VXLAN_ID, vxlan.vni);
  batch.put_u32(IFLA_VXLAN_LINK, static_cast<std::uint32_t>(lower_index));
  batch.put_ip(vxlan.local.is_v4() ? IFLA_VXLAN_LOCAL : IFLA_VXLAN_LOCAL6, vxlan.local);
  batch.put_big_endian16(IFLA_VXLAN_PORT, vxlan.port);
  batch.put_u8(IFLA_VXLAN_LEARNING, vxlan.learning ? 1 : 0);
  batch.put_u8(IFLA_VXLAN_TTL, 0);  // `ttl auto`
  batch.put_u32(IFLA_VXLAN_AGEING, kAgeing);
  batch.put_u8(IFLA_VXLAN_UDP_CSUM, 1);
  batch.put_u8(IFLA_VXLAN_UDP_ZERO_CSUM6_TX, 0);
  batch.put_u8(IFLA_VXLAN_UDP_ZERO_CSUM6_RX, 0);
  if (vxlan.gbp) {
    batch.put_flag(IFLA_VXLAN_GBP);
  }
}

// A header that sets the device's state to that of `link`.
ifinfomsg state_header(const Link& link) {
  ifinfomsg header{};
  header.ifi_change = IFF_UP;
  header.ifi_flags = link.up ? IFF_UP : 0;
  return header;
}

}  // namespace

std::optional<LinkMessage> decode_link(const MessageView& message) {
  Bytes rest = message.payload;
  const std::optional<ifinfomsg> header = take_header<ifinfomsg>(rest);
  if (!header || (message.type != RTM_NEWLINK && message.type != RTM_DELLINK) ||
      header->ifi_family == AF_BRIDGE) {
    return std::nullopt;
  }
  LinkMessage out;
  out.index = header->ifi_index;
  out.link.up = (header->ifi_flags & IFF_UP) != 0;
  // Never without IFF_UP (dev_get_flags() of net/core/dev.c).
  out.has_carrier = (header->ifi_flags & IFF_LOWER_UP) != 0;
  out.shared = (header->ifi_flags & (IFF_NOARP | IFF_POINTOPOINT)) == 0;
  out.link.kind = OtherKind{};
  while (const std::optional<Attribute> attribute = next_attribute(rest)) {
    switch (attribute->type) {
      case IFLA_IFNAME:
        out.link.key.name = attribute->text();
        break;
      case IFLA_ADDRESS:
        out.link.mac = attribute->mac().value_or(Mac{});
        break;
      case IFLA_MASTER:
        out.master_index = static_cast<int>(attribute->u32().value_or(0));
        break;
      case IFLA_MTU:
        out.link.mtu = attribute->u32().value_or(0);
        break;
      case IFLA_IFALIAS:
        out.link.alias = attribute->text();
        break;
      case IFLA_LINKINFO:
        decode_link_info(attribute->data, out);
        break;
      case IFLA_AF_SPEC:
        decode_ipv6_settings(attribute->data, out);
        break;
      default:
        break;
    }
  }
  return out.link.key.name.empty() ? std::nullopt : std::optional(std::move(out));
}

void encode_add(Batch& batch, const Link& link, int lower_index) {
  batch.begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, ifinfomsg{});
  batch.put_text(IFLA_IFNAME, link.key.name.text());
  batch.put_u32(IFLA_MTU, link.mtu);
  batch.put_mac(IFLA_ADDRESS, link.mac);
  const std::size_t info = batch.nest(IFLA_LINKINFO);
  if (const Vxlan* vxlan = std::get_if<Vxlan>(&link.kind)) {
    batch.put_text(IFLA_INFO_KIND, "vxlan");
    const std::size_t data = batch.nest(IFLA_INFO_DATA);
    put_vxlan(batch, *vxlan, lower_index);
    batch.end_nest(data);
  } else {
    batch.put_text(IFLA_INFO_KIND, std::get<OtherKind>(link.kind).kind);
  }
  batch.end_nest(info);
}

void encode_finish_add(Batch& batch, const Link& link) {
  batch.begin(RTM_SETLINK, 0, state_header(link));
  batch.put_text(IFLA_IFNAME, link.key.name.text());
  batch.put_text(IFLA_IFALIAS, link.alias);
}

void encode_change(Batch& batch, const Link& link, const LinkMessage& there) {
  ifinfomsg header{};
  header.ifi_index = there.index;
  const Link& was = there.link;
  if (there.master_index != 0 &&
      link.master.empty()) {  // first: a bond has changed MAC and state as well
    batch.begin(RTM_SETLINK, 0, header);
    batch.put_u32(IFLA_MASTER, 0);
  }
  if (link.mtu != was.mtu) {
    batch.begin(RTM_SETLINK, 0, header);
    batch.put_u32(IFLA_MTU, link.mtu);
  }
  if (link.mac != was.mac) {  // with every MAC it is given, also the same, a device's neighbours go
    batch.begin(RTM_SETLINK, 0, header);
    batch.put_mac(IFLA_ADDRESS, link.mac);
  }
  if (link.alias != was.alias) {
    batch.begin(RTM_SETLINK, 0, header);
    batch.put_text(IFLA_IFALIAS, link.alias);
  }
  if (link.up != was.up) {
    ifinfomsg state = state_header(link);
    state.ifi_index = there.index;
    batch.begin(RTM_SETLINK, 0, state);
  }
  const Vxlan* vxlan = std::get_if<Vxlan>(&link.kind);
  const Vxlan* vxlan_was = std::get_if<Vxlan>(&was.kind);
  if (vxlan != nullptr && vxlan_was != nullptr && vxlan->learning != vxlan_was->learning) {
    batch.begin(RTM_NEWLINK, 0, header);
    const std::size_t info = batch.nest(IFLA_LINKINFO);
    batch.put_text(IFLA_INFO_KIND, "vxlan");
    const std::size_t data = batch.nest(IFLA_INFO_DATA);
    batch.put_u8(IFLA_VXLAN_LEARNING, vxlan->learning ? 1 : 0);
    batch.end_nest(data);
    batch.end_nest(info);
  }
}

void encode_remove_link(Batch& batch, int index) {
  ifinfomsg header{};
  header.ifi_index = index;
  batch.begin(RTM_DELLINK, 0, header);
}

void encode_get_link(Batch& batch, const Dev& name) {
  batch.ask(RTM_GETLINK, ifinfomsg{});
  batch.put_text(IFLA_IFNAME, name.text());
  batch.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
}

void encode_dump_links(Batch& batch) {
  batch.begin(RTM_GETLINK, 0, ifinfomsg{});
  batch.put_u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
}

}  // namespace flannel::netlink

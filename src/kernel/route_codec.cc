#include "kernel/route_codec.h"

#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <iterator>

namespace flannel::netlink {
namespace {

std::uint8_t socket_family(Family family) {
  return family == Family::v4 ? AF_INET : AF_INET6;
}

rtmsg header_of(const Route& route) {
  rtmsg header{};
  header.rtm_family = socket_family(route.key.dst.family());
  header.rtm_dst_len = route.key.dst.length;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = route.protocol;
  header.rtm_type = route.type;
  return header;
}

void put_key(Batch& batch, const Route& route) {
  batch.put_ip(RTA_DST, route.key.dst.ip);
  if (route.key.metric != 0) {
    batch.put_u32(RTA_PRIORITY, route.key.metric);
  }
}

// None of a blackhole: the kernel refuses one, or has its own (IPv6: lo).
void put_path(Batch& batch, const Route& route, int index) {
  if (route.type != RTN_UNICAST) {
    return;
  }
  if (route.nexthop != 0) {
    batch.put_u32(RTA_NH_ID, route.nexthop);
    return;
  }
  batch.put_u32(RTA_OIF, static_cast<std::uint32_t>(index));
  if (route.via) {
    batch.put_ip(RTA_GATEWAY, *route.via);
  }
}

// A gateway of the other family (RTA_VIA): the family in two bytes, then the address.
std::optional<IpAddr> gateway_of_any_family(Bytes data) {
  return IpAddr::from_bytes(data.subspan(std::min<std::size_t>(2, data.size())));
}

void add_gateway(const Attribute& attribute, std::vector<IpAddr>& gateways) {
  const std::optional<IpAddr> gateway = attribute.type == RTA_GATEWAY ? attribute.ip()
                                        : attribute.type == RTA_VIA
                                            ? gateway_of_any_family(attribute.data)
                                            : std::nullopt;
  if (gateway) {
    gateways.push_back(*gateway);
  }
}

// Devices and gateways of all paths of a multipath route.
void add_paths(Bytes paths, DefaultRouteMessage& out) {
  while (paths.size() >= sizeof(rtnexthop)) {
    Bytes rest = paths;
    const std::optional<rtnexthop> path = take_header<rtnexthop>(rest);
    if (path->rtnh_len < sizeof(rtnexthop) || path->rtnh_len > paths.size()) {
      return;
    }
    out.devices.push_back(path->rtnh_ifindex);
    rest = paths.subspan(sizeof(rtnexthop), path->rtnh_len - sizeof(rtnexthop));
    while (const std::optional<Attribute> attribute = next_attribute(rest)) {
      add_gateway(*attribute, out.route.gateways);
    }
    paths = paths.subspan(std::min<std::size_t>(RTNH_ALIGN(path->rtnh_len), paths.size()));
  }
}

// The device of a multipath route's first path; 0 where the bytes hold none.
int first_path(Bytes paths) {
  const std::optional<rtnexthop> first = take_header<rtnexthop>(paths);
  return first ? first->rtnh_ifindex : 0;
}

}  // namespace

std::optional<RouteMessage> decode_route(const MessageView& message) {
  Bytes rest = message.payload;
  const std::optional<rtmsg> header = take_header<rtmsg>(rest);
  if (!header || (message.type != RTM_NEWROUTE && message.type != RTM_DELROUTE) ||
      (header->rtm_family != AF_INET && header->rtm_family != AF_INET6) ||
      (header->rtm_flags & RTM_F_CLONED) != 0) {
    return std::nullopt;
  }
  const Family family = header->rtm_family == AF_INET ? Family::v4 : Family::v6;
  RouteMessage out;
  std::uint32_t table = header->rtm_table;
  IpAddr dst = IpAddr::from_number(family, 0);
  while (const std::optional<Attribute> attribute = next_attribute(rest)) {
    switch (attribute->type) {
      case RTA_TABLE:
        table = attribute->u32().value_or(table);
        break;
      case RTA_DST:
        dst = attribute->ip().value_or(dst);
        break;
      case RTA_PRIORITY:
        out.route.key.metric = attribute->u32().value_or(0);
        break;
      case RTA_GATEWAY:
        out.route.via = attribute->ip();
        break;
      case RTA_OIF:
        out.index = static_cast<int>(attribute->u32().value_or(0));
        break;
      case RTA_MULTIPATH:  // by its first path: whatever more there is, it is none of ours
        out.index = first_path(attribute->data);
        break;
      case RTA_NH_ID:
        out.route.nexthop = attribute->u32().value_or(0);
        break;
      default:
        break;
    }
  }
  if (dst.family() != family || header->rtm_dst_len > dst.bits()) {
    return std::nullopt;
  }
  out.in_main_table = table == RT_TABLE_MAIN && header->rtm_tos == 0;
  out.route.type = header->rtm_type;
  out.route.key.dst = {dst, header->rtm_dst_len};
  out.route.protocol = header->rtm_protocol;
  out.route.onlink = (header->rtm_flags & RTNH_F_ONLINK) != 0;
  if (out.route.nexthop != 0) {  // the kernel shows the object's path as well
    out.route.via.reset();
    out.route.onlink = false;
  }
  return out;
}

std::optional<DefaultRouteMessage> decode_default_route(const MessageView& message) {
  const std::optional<RouteMessage> found = decode_route(message);
  if (!found || message.type != RTM_NEWROUTE || !found->is_plain() ||
      found->route.key.dst.length != 0) {
    return std::nullopt;
  }
  DefaultRouteMessage out;
  out.by_nexthop = found->route.nexthop != 0;
  out.route.advertised = found->route.protocol == RTPROT_RA;
  out.route.family = found->route.key.dst.family();
  out.route.metric = found->route.key.metric;
  Bytes rest = message.payload;
  take_header<rtmsg>(rest);
  while (const std::optional<Attribute> attribute = next_attribute(rest)) {
    if (attribute->type == RTA_PREFSRC) {
      out.route.source = attribute->ip();
    } else if (attribute->type == RTA_MULTIPATH) {
      add_paths(attribute->data, out);
    } else if (attribute->type == RTA_OIF) {
      out.devices.push_back(static_cast<int>(attribute->u32().value_or(0)));
    } else {
      add_gateway(*attribute, out.route.gateways);
    }
  }
  return out;
}

std::string to_text(const RouteMessage& message, const Dev& dev) {
  Route route = message.route;
  route.dev = dev;
  return to_text(Object(route)).substr(std::string_view("route ").size());
}

void encode_put(Batch& batch, const Route& route, int index, bool exclusive) {
  rtmsg header = header_of(route);
  // An IPv4 route without gateway reaches its destinations directly.
  const bool on_link =
      route.type == RTN_UNICAST && route.nexthop == 0 && !route.via && route.key.dst.ip.is_v4();
  header.rtm_scope = on_link ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  header.rtm_flags = route.onlink ? RTNH_F_ONLINK : 0;
  batch.begin(RTM_NEWROUTE,
              static_cast<std::uint16_t>(NLM_F_CREATE | (exclusive ? NLM_F_EXCL : NLM_F_REPLACE)),
              header);
  put_key(batch, route);
  put_path(batch, route, index);
}

void encode_remove(Batch& batch, const Route& route, int index) {
  rtmsg header = header_of(route);
  header.rtm_scope = RT_SCOPE_NOWHERE;  // any
  batch.begin(RTM_DELROUTE, 0, header);
  put_key(batch, route);
  if (route.key.place > 0) {
    put_path(batch, route, index);
  }
}

void encode_remove_first(Batch& batch, const Route::Key& key, std::uint8_t protocol) {
  Route route;
  route.key = key;
  route.protocol = protocol;
  rtmsg header = header_of(route);
  header.rtm_scope = RT_SCOPE_NOWHERE;  // any
  header.rtm_type = RTN_UNSPEC;         // any
  batch.begin(RTM_DELROUTE, 0, header);
  put_key(batch, route);
}

void encode_dump_routes(Batch& batch, Family family, std::uint8_t protocol) {
  rtmsg header{};
  header.rtm_protocol = protocol;
  header.rtm_family = socket_family(family);
  header.rtm_table = RT_TABLE_MAIN;
  batch.begin(RTM_GETROUTE, 0, header);
}

void encode_get_path(Batch& batch, const IpAddr& to) {
  rtmsg header{};
  header.rtm_family = socket_family(to.family());
  header.rtm_dst_len = static_cast<std::uint8_t>(to.bits());
  batch.ask(RTM_GETROUTE, header);
  batch.put_ip(RTA_DST, to);
}

std::optional<PathMessage> decode_path(const MessageView& message) {
  Bytes rest = message.payload;
  const std::optional<rtmsg> header = take_header<rtmsg>(rest);
  if (!header || message.type != RTM_NEWROUTE ||
      (header->rtm_type != RTN_UNICAST && header->rtm_type != RTN_LOCAL)) {
    return std::nullopt;
  }
  PathMessage out;
  while (const std::optional<Attribute> attribute = next_attribute(rest)) {
    switch (attribute->type) {
      case RTA_OIF:
        out.index = static_cast<int>(attribute->u32().value_or(0));
        break;
      case RTA_GATEWAY:
        out.path.via = attribute->ip();
        break;
      case RTA_VIA:  // an IPv6 gateway for an IPv4 address
        out.path.via = gateway_of_any_family(attribute->data);
        break;
      case RTA_PREFSRC:
        out.path.source = attribute->ip();
        break;
      default:
        break;
    }
  }
  return out.index == 0 ? std::nullopt : std::optional(out);
}

}  // namespace flannel::netlink

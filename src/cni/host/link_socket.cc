#include "cni/host/link_socket.h"

#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "cni/host/link_messages.h"
#include "cni/protocol/error.h"
#include "kernel/link_codec.h"

namespace flannel::cni {
namespace {

using netlink::Attribute;
using netlink::Batch;
using netlink::Bytes;
using netlink::MessageView;

// The system's default send buffer (net.core.wmem_default) takes three times as much.
constexpr std::size_t kBatchBytes = 65'536;

std::optional<LinkInfo> decode_info(const MessageView& message) {
  Bytes rest = message.payload;
  const std::optional<ifinfomsg> header = netlink::take_header<ifinfomsg>(rest);
  if (!header || message.type != RTM_NEWLINK || header->ifi_family == AF_BRIDGE) {
    return std::nullopt;
  }
  LinkInfo out;
  out.index = header->ifi_index;
  out.up = (header->ifi_flags & IFF_UP) != 0;
  while (const std::optional<Attribute> attribute = netlink::next_attribute(rest)) {
    switch (attribute->type) {
      case IFLA_IFNAME:
        out.name = attribute->text();
        break;
      case IFLA_ADDRESS:
        out.mac = attribute->mac().value_or(Mac{});
        break;
      case IFLA_MTU:
        out.mtu = attribute->u32().value_or(0);
        break;
      case IFLA_MASTER:
        out.master = static_cast<int>(attribute->u32().value_or(0));
        break;
      case IFLA_LINK:
        out.peer = static_cast<int>(attribute->u32().value_or(0));
        break;
      case IFLA_IFALIAS:
        out.alias = attribute->text();
        break;
      case IFLA_PROMISCUITY:
        out.promiscuous = attribute->u32().value_or(0) != 0;
        break;
      case IFLA_OPERSTATE:
        out.running = attribute->u8() == IF_OPER_UP;
        break;
      case IFLA_LINKINFO:
        if (const auto kind = netlink::find_attribute(attribute->data, IFLA_INFO_KIND)) {
          out.kind = kind->text();
        }
        break;
      default:
        break;
    }
  }
  return out;
}

}  // namespace

int LinkSocket::transact(Batch& batch, const std::function<std::string(std::size_t)>& describe,
                         int tolerated) {
  int met = 0;
  const std::vector<OpResult> answers = socket_.transact(batch);
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (!answers[i].ok() && answers[i].error != tolerated) {
      throw_error(Code::internal, "{}: {}", describe(i), answers[i].text);
    }
    met = answers[i].ok() ? met : answers[i].error;
  }
  return met;
}

int LinkSocket::transact_one(Batch& batch, const std::string& what, int tolerated) {
  return transact(batch, [&](std::size_t) { return what; }, tolerated);
}

std::vector<std::optional<LinkInfo>> LinkSocket::find_all(std::span<const std::string> names) {
  Batch batch;
  for (const std::string& name : names) {
    netlink::encode_get_link(batch, Dev(name));
  }
  std::vector<std::optional<LinkInfo>> found(names.size());
  const std::vector<OpResult> answers =
      socket_.transact(batch, [&found](std::size_t index, const MessageView& message) {
        found[index] = decode_info(message);
      });
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (!answers[i].ok() && answers[i].error != ENODEV) {
      throw_error(Code::internal, "could not lookup \"{}\": {}", names[i], answers[i].text);
    }
  }
  return found;
}

std::optional<LinkInfo> LinkSocket::find(std::string_view name) {
  const std::string names[] = {std::string(name)};
  return std::move(find_all(names)[0]);
}

std::optional<std::string> LinkSocket::device_to(const IpAddr& address) {
  Batch ask;
  netlink::encode_get_path(ask, address);
  int index = 0;
  socket_.transact(ask, [&index](std::size_t, const MessageView& message) {
    const std::optional<netlink::PathMessage> path = netlink::decode_path(message);
    index = path ? path->index : 0;
  });
  std::optional<LinkInfo> link;
  if (index != 0) {
    Batch by_index;
    by_index.ask(RTM_GETLINK, link_header(index));
    socket_.transact(by_index, [&link](std::size_t, const MessageView& message) {
      link = decode_info(message);
    });
  }
  return link ? std::optional(link->name) : std::nullopt;
}

std::vector<LinkInfo> LinkSocket::ports(int bridge) {
  Batch batch;
  netlink::encode_dump_links(batch);
  std::vector<LinkInfo> links = socket_.dump<LinkInfo>(batch, "links", decode_info);
  std::erase_if(links, [bridge](const LinkInfo& link) { return link.master != bridge; });
  return links;
}

void LinkSocket::add_bridge(std::string_view name, std::uint32_t mtu, bool vlan_filtering) {
  Batch batch;
  batch.begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, link_header(0));
  batch.put_text(IFLA_IFNAME, name);
  if (mtu != 0) {
    batch.put_u32(IFLA_MTU, mtu);
  }
  const std::size_t info = batch.nest(IFLA_LINKINFO);
  batch.put_text(IFLA_INFO_KIND, "bridge");
  if (vlan_filtering) {
    const std::size_t data = batch.nest(IFLA_INFO_DATA);
    batch.put_u8(IFLA_BR_VLAN_FILTERING, 1);
    batch.end_nest(data);
  }
  batch.end_nest(info);
  transact_one(batch, fmt::format("could not add \"{}\"", name), EEXIST);
}

std::optional<LinkInfo> LinkSocket::add_veth(const VethPair& pair) {
  Batch batch;
  encode_veth(batch, pair);
  if (transact_one(batch, "failed to make veth pair", EEXIST) == EEXIST) {
    return std::nullopt;
  }
  Batch rest;
  if (!pair.alias.empty()) {  // which the kernel ignores at creation
    rest.begin(RTM_SETLINK, 0, link_header(0));
    rest.put_text(IFLA_IFNAME, pair.host_name);
    rest.put_text(IFLA_IFALIAS, pair.alias);
  }
  netlink::encode_get_link(rest, Dev(pair.host_name));
  std::optional<LinkInfo> made;
  // An alias is for people to read: none is no failure.
  socket_.transact(
      rest, [&made](std::size_t, const MessageView& message) { made = decode_info(message); });
  if (!made) {
    throw_error(Code::internal, "failed to lookup \"{}\": it is gone", pair.host_name);
  }
  return made;
}

bool LinkSocket::remove(int index) {
  Batch batch;
  netlink::encode_remove_link(batch, index);
  return transact_one(batch, "failed to delete a link", ENODEV) == 0;
}

void LinkSocket::set_up(int index) {
  Batch batch;
  batch.begin(RTM_SETLINK, 0, link_header(index, IFF_UP, IFF_UP));
  transact_one(batch, "could not set a link up");
}

void LinkSocket::set_down(int index) {
  Batch batch;
  batch.begin(RTM_SETLINK, 0, link_header(index, 0, IFF_UP));
  transact_one(batch, "could not set a link down");
}

void LinkSocket::set_promiscuous(int index) {
  Batch batch;
  batch.begin(RTM_SETLINK, 0, link_header(index, IFF_PROMISC, IFF_PROMISC));
  transact_one(batch, "could not set promiscuous mode");
}

void LinkSocket::set_mac(int index, const Mac& mac) {
  Batch batch;
  batch.begin(RTM_SETLINK, 0, link_header(index));
  batch.put_mac(IFLA_ADDRESS, mac);
  transact_one(batch, "could not set a link's mac");
}

void LinkSocket::set_port(int index, const BridgePort& port) {
  Batch batch;
  ifinfomsg header = link_header(index);
  header.ifi_family = AF_BRIDGE;
  batch.begin(RTM_SETLINK, 0, header);
  const std::size_t info = batch.nest(IFLA_PROTINFO | NLA_F_NESTED);
  batch.put_u8(IFLA_BRPORT_MODE, port.hairpin ? 1 : 0);
  batch.put_u8(IFLA_BRPORT_ISOLATED, port.isolated ? 1 : 0);
  batch.end_nest(info);
  transact_one(batch, "failed to setup hairpin mode and isolation of a bridge port");
}

void LinkSocket::add_vlan(int index, const PortVlan& vlan) {
  Batch batch;
  encode_vlan(batch, index, RTM_SETLINK, vlan);
  transact_one(batch, fmt::format("failed to setup vlan tag {} on a bridge port", vlan.id));
}

void LinkSocket::remove_vlan(int index, std::uint16_t id) {
  Batch batch;
  encode_vlan(batch, index, RTM_DELLINK, {.id = id});
  transact_one(batch, fmt::format("failed to remove vlan {} of a bridge port", id), ENOENT);
}

std::vector<netlink::AddressMessage> LinkSocket::addresses(int index) {
  Batch batch;
  netlink::encode_dump_addresses(batch, index);
  return socket_.dump<netlink::AddressMessage>(
      batch, "addresses",
      [&](const MessageView& message) -> std::optional<netlink::AddressMessage> {
        const std::optional<netlink::AddressMessage> address = netlink::decode_address(message);
        return address && address->index == index ? address : std::nullopt;
      });
}

void LinkSocket::add_address(int index, const Prefix& address) {
  Batch batch;
  encode_address(batch, index, address, address.ip.is_v4() ? 0 : IFA_F_NODAD);
  transact_one(batch, fmt::format("could not add IP address {}", address.to_text()), EEXIST);
}

void LinkSocket::remove_address(int index, const Prefix& address) {
  Batch batch;
  batch.begin(RTM_DELADDR, 0, address_header(index, address));
  batch.put_ip(IFA_LOCAL, address.ip);
  batch.put_ip(IFA_ADDRESS, address.ip);
  transact_one(batch, fmt::format("could not remove IP address {}", address.to_text()),
               EADDRNOTAVAIL);
}

void LinkSocket::configure(int index, std::span<const ResultIp> ips,
                           std::span<const ResultRoute> routes) {
  const auto describe = [&](std::size_t i) {
    if (i < ips.size()) {
      return fmt::format("failed to add IP addr {}", ips[i].address.to_text());
    }
    if (i == ips.size()) {
      return std::string("failed to set the interface UP");
    }
    const ResultRoute& route = routes[i - ips.size() - 1];
    return fmt::format("failed to add route '{}{}{}'", route.dst.to_text(), route.gw ? " via " : "",
                       route.gw ? route.gw->to_text() : "");
  };
  Batch batch;
  std::size_t done = 0;
  const auto send = [&] {
    transact(batch, [&](std::size_t i) { return describe(done + i); });
    done += batch.count();
    batch.clear();
  };
  const auto send_if_full = [&] {
    if (batch.size() >= kBatchBytes) {
      send();
    }
  };
  for (const ResultIp& ip : ips) {
    encode_address(batch, index, ip.address);
    send_if_full();
  }
  encode_up(batch, index);
  for (const ResultRoute& route : routes) {
    encode_route(batch, index, route);
    send_if_full();
  }
  send();
}

std::vector<netlink::RouteMessage> LinkSocket::routes(Family family) {
  Batch batch;
  netlink::encode_dump_routes(batch, family);
  return socket_.dump<netlink::RouteMessage>(batch, "routes", [](const MessageView& message) {
    const std::optional<netlink::RouteMessage> route = netlink::decode_route(message);
    return route && route->is_plain() ? route : std::nullopt;
  });
}

}  // namespace flannel::cni

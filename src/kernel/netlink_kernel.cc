#include "kernel/netlink_kernel.h"

#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "kernel/address_codec.h"
#include "kernel/neighbour_codec.h"
#include "kernel/nexthop_codec.h"
#include "kernel/route_codec.h"

namespace flannel {

using netlink::AddressMessage;
using netlink::LinkMessage;
using netlink::MessageView;
using netlink::NeighbourMessage;
using netlink::NexthopMessage;
using netlink::RouteMessage;

NetlinkKernel::NetlinkKernel() = default;

Dev NetlinkKernel::name_of(int index) const {
  const auto found = names_.find(index);
  return found == names_.end() ? Dev() : found->second;
}

std::vector<LinkMessage> NetlinkKernel::dump_links() {
  netlink::Batch request;
  netlink::encode_dump_links(request);
  std::vector<LinkMessage> links =
      requests_.dump<LinkMessage>(request, "links", netlink::decode_link);
  names_.clear();
  for (const LinkMessage& link : links) {
    names_[link.index] = link.link.key.name;
  }
  for (LinkMessage& link : links) {
    if (Vxlan* vxlan = std::get_if<Vxlan>(&link.link.kind)) {
      vxlan->lower = name_of(link.lower_index);
    }
  }
  return links;
}

int NetlinkKernel::index_of(const Dev& name) {
  const auto known = std::find_if(names_.begin(), names_.end(),
                                  [&](const auto& entry) { return entry.second == name; });
  return known == names_.end() ? 0 : known->first;
}

Snapshot NetlinkKernel::dump(const Scope& scope) {
  Snapshot snapshot;
  own_links_.clear();
  for (LinkMessage& link : dump_links()) {
    if (owns_link(scope, link.link)) {
      snapshot.ours.links.put(link.link);
      own_links_[link.index] = std::move(link.link);
    }
  }
  for (const auto& [index, link] : own_links_) {
    dump_link_objects(index, snapshot.ours);
  }
  dump_nexthops(scope, snapshot);
  std::vector<Route> routes;
  for (const Family family : {Family::v4, Family::v6}) {
    // A router's full table stays where it is: the kernel filters by protocol and by device.
    routes = dump_routes(scope, family, 0, kRouteProtocol);
    for (const auto& [index, link] : own_links_) {
      const std::vector<Route> more = dump_routes(scope, family, index, 0);
      routes.insert(routes.end(), more.begin(), more.end());
    }
    for (const Route& route : Table<Route>(std::move(routes))) {
      snapshot.ours.routes.put(route);
    }
  }
  return snapshot;
}

void NetlinkKernel::dump_link_objects(int index, NetState& state) {
  const Dev dev = name_of(index);
  netlink::Batch request;
  netlink::encode_dump_addresses(request, index);
  for (const AddressMessage& found :
       requests_.dump<AddressMessage>(request, "addresses", netlink::decode_address)) {
    const Address address{{dev, found.address.prefix}};
    if (owns_address(found.index == index, address)) {
      state.addresses.put(address);
    }
  }
  std::vector<Neighbour> neighbours(state.neighbours.begin(), state.neighbours.end());
  std::vector<FdbEntry> fdb(state.fdb.begin(), state.fdb.end());
  for (const auto encode : {netlink::encode_dump_neighbours, netlink::encode_dump_fdb}) {
    netlink::Batch request;
    encode(request, index);
    for (NeighbourMessage& found :
         requests_.dump<NeighbourMessage>(request, "neighbours", netlink::decode_neighbour)) {
      const bool ours = found.index == index;
      if (Neighbour* neighbour = std::get_if<Neighbour>(&found.object)) {
        neighbour->key.dev = dev;
        if (owns_neighbour(ours, found.permanent, *neighbour)) {
          neighbours.push_back(*neighbour);
        }
      } else {
        FdbEntry& entry = std::get<FdbEntry>(found.object);
        entry.key.dev = dev;
        if (owns_fdb_entry(ours, found.permanent, entry)) {
          fdb.push_back(entry);
        }
      }
    }
  }
  state.neighbours = Table<Neighbour>(std::move(neighbours));
  state.fdb = Table<FdbEntry>(std::move(fdb));
}

void NetlinkKernel::dump_nexthops(const Scope& scope, Snapshot& snapshot) {
  netlink::Batch request;
  netlink::encode_dump_nexthops(request);
  std::vector<NexthopMessage> found;
  try {
    found = requests_.dump<NexthopMessage>(request, "nexthops", netlink::decode_nexthop);
  } catch (const std::system_error& error) {
    if (error.code().value() != EOPNOTSUPP) {
      throw;
    }
    snapshot.nexthops_supported = false;
  }
  std::vector<Nexthop> ours;
  for (NexthopMessage& nexthop : found) {
    nexthop.nexthop.dev = name_of(nexthop.index);
    const std::uint32_t offset = nexthop.nexthop.key.id - scope.first_nexthop;
    if (owns_nexthop(scope, nexthop.protocol, nexthop.nexthop)) {
      ours.push_back(nexthop.nexthop);
    } else if (offset < kNexthopIds) {
      snapshot.taken_nexthops.push_back(nexthop.nexthop.key.id);
    }
  }
  std::sort(snapshot.taken_nexthops.begin(), snapshot.taken_nexthops.end());
  snapshot.ours.nexthops = Table<Nexthop>(std::move(ours));
}

std::vector<Route> NetlinkKernel::dump_routes(const Scope& scope, Family family, int index,
                                              std::uint8_t protocol) {
  netlink::Batch request;
  netlink::encode_dump_routes(request, family, index, protocol);
  std::vector<Route> routes;
  try {
    routes = requests_.dump<Route>(
        request, "routes", [&](const MessageView& message) -> std::optional<Route> {
          std::optional<RouteMessage> found = netlink::decode_route(message);
          if (!found || !owns_route(scope, on_our_link(found->index), found->route)) {
            return std::nullopt;
          }
          if (found->route.nexthop == 0) {
            found->route.dev = name_of(found->index);
          }
          return found->route;
        });
  } catch (const std::system_error& error) {
    if (error.code().value() != ENOENT) {  // a namespace in which no route was ever made
      throw;
    }
  }
  return routes;
}

void NetlinkKernel::reread_link(const Dev& name) {
  std::erase_if(own_links_, [&](const auto& entry) { return entry.second.key.name == name; });
  for (LinkMessage& link : dump_links()) {
    if (link.link.key.name == name) {
      own_links_[link.index] = std::move(link.link);
    }
  }
}

HostView NetlinkKernel::host() {
  HostView view;
  for (const LinkMessage& link : dump_links()) {
    view.interfaces.push_back({link.link.key.name, link.index, link.link.mtu, link.link.up, {}});
  }
  std::sort(view.interfaces.begin(), view.interfaces.end(),
            [](const HostInterface& a, const HostInterface& b) { return a.index < b.index; });
  netlink::Batch request;
  netlink::encode_dump_addresses(request, 0);
  for (const AddressMessage& found :
       requests_.dump<AddressMessage>(request, "addresses", netlink::decode_address)) {
    for (HostInterface& interface : view.interfaces) {
      if (interface.index == found.index) {
        interface.addresses.push_back(found.address);
      }
    }
  }
  for (const Family family : {Family::v4, Family::v6}) {
    netlink::Batch request;
    netlink::encode_dump_routes(request, family, 0, 0);
    try {
      const std::vector<RouteMessage> defaults = requests_.dump<RouteMessage>(
          request, "default routes", [](const MessageView& message) -> std::optional<RouteMessage> {
            std::optional<RouteMessage> found = netlink::decode_route(message);
            return found && found->route.key.dst.length == 0 ? found : std::nullopt;
          });
      for (const RouteMessage& route : defaults) {
        view.default_routes.push_back({family, name_of(route.index), route.route.key.metric});
      }
    } catch (const std::system_error& error) {
      if (error.code().value() != ENOENT) {
        throw;
      }
    }
  }
  return view;
}

}  // namespace flannel

#include "kernel/object_reader.h"

#include <linux/rtnetlink.h>

#include <algorithm>
#include <iterator>

#include "kernel/address_codec.h"
#include "kernel/neighbour_codec.h"
#include "kernel/nexthop_codec.h"
#include "kernel/route_codec.h"

namespace flannel::netlink {
namespace {

std::optional<Reading> address(const MessageView& message, const Scope& scope,
                               const LinkTable& links) {
  const std::optional<AddressMessage> found = decode_address(message);
  if (!found) {
    return std::nullopt;
  }
  const Address row{{links.name_of(found->index), found->address.prefix}};
  return Reading{row, found->index, owns_address(scope, links.is_ours(found->index), row)};
}

std::optional<Reading> neighbour(const MessageView& message, const Scope& scope,
                                 const LinkTable& links) {
  std::optional<NeighbourMessage> found = decode_neighbour(message);
  if (!found) {
    return std::nullopt;
  }
  const bool on_our_link = links.is_ours(found->index);
  Reading out{Address{}, found->index, false};
  out.permanent = found->permanent;
  if (Neighbour* row = std::get_if<Neighbour>(&found->object)) {
    row->key.dev = links.name_of(found->index);
    out.ours = owns_neighbour(scope, on_our_link, found->permanent, *row);
    out.object = *row;
  } else {
    FdbEntry& entry = std::get<FdbEntry>(found->object);
    entry.key.dev = links.name_of(found->index);
    out.ours = owns_fdb_entry(on_our_link, found->permanent, entry);
    out.object = entry;
  }
  return out;
}

std::optional<Reading> nexthop(const MessageView& message, const Scope& scope,
                               const LinkTable& links) {
  std::optional<NexthopMessage> found = decode_nexthop(message);
  if (!found) {
    return std::nullopt;
  }
  found->nexthop.dev = links.name_of(found->index);
  return Reading{found->nexthop, found->index,
                 owns_nexthop(scope, found->protocol, found->nexthop)};
}

std::optional<Reading> route(const MessageView& message, const Scope& scope,
                             const LinkTable& links) {
  std::optional<RouteMessage> found = decode_route(message);
  if (!found) {
    return std::nullopt;
  }
  if (found->route.nexthop == 0) {
    found->route.dev = links.name_of(found->index);
  }
  const bool ours =
      found->in_main_table && owns_route(scope, links.is_ours(found->index), found->route);
  return Reading{found->route, found->index, ours, found->in_main_table};
}

}  // namespace

Dev LinkTable::name_of(int index) const {
  const auto found = all.find(index);
  return found == all.end() ? Dev() : found->second.name;
}

LinkTable::LinkTable(std::span<const LinkMessage> links) {
  for (const LinkMessage& link : links) {
    all[link.index] = {link.link.key.name, link.link.up, link.link.mtu, link.shared,
                       link.has_carrier};
  }
}

void LinkTable::name_devices(LinkMessage& link) const {
  if (Vxlan* vxlan = std::get_if<Vxlan>(&link.link.kind)) {
    vxlan->lower = name_of(link.lower_index);
  }
  link.link.master = name_of(link.master_index);
}

void LinkTable::add_unknown(const LinkTable& listed) {
  all.insert(listed.all.begin(), listed.all.end());
  ours.insert(listed.ours.begin(), listed.ours.end());
}

std::optional<Reading> read_object(const MessageView& message, const Scope& scope,
                                   const LinkTable& links) {
  switch (message.type) {
    case RTM_NEWADDR:
    case RTM_DELADDR:
      return address(message, scope, links);
    case RTM_NEWNEIGH:
    case RTM_DELNEIGH:
      return neighbour(message, scope, links);
    case RTM_NEWNEXTHOP:
    case RTM_DELNEXTHOP:
      return nexthop(message, scope, links);
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      return route(message, scope, links);
    default:
      return std::nullopt;
  }
}

void SnapshotBuilder::add_links(std::span<const LinkMessage> links) {
  links_ = LinkTable(links);
  for (const LinkMessage& link : links) {
    if (owns_link(scope_, link.link)) {
      links_.ours.insert(link.index);
      LinkMessage ours = link;
      links_.name_devices(ours);
      ours_.push_back(std::move(ours.link));
    }
  }
}

void SnapshotBuilder::add(std::vector<Reading> readings) {
  for (const Reading& reading : readings) {
    if (const Nexthop* nexthop = std::get_if<Nexthop>(&reading.object)) {
      add_row(reading, *nexthop);
    } else if (const Route* route = std::get_if<Route>(&reading.object)) {
      add_row(reading, *route);
    } else if (!reading.ours) {
      add_foreign(reading);
    } else if (const Address* row = std::get_if<Address>(&reading.object)) {
      addresses_.push_back(*row);
    } else if (const Neighbour* row = std::get_if<Neighbour>(&reading.object)) {
      neighbours_.push_back(*row);
    } else {
      fdb_.push_back(std::get<FdbEntry>(reading.object));
    }
  }
}

// What an administrator put on a device of ours, as far as it lasts.
void SnapshotBuilder::add_foreign(const Reading& reading) {
  const Address* address = std::get_if<Address>(&reading.object);
  const bool link_local = address != nullptr && address->key.prefix.ip.is_link_local();
  if (reading.permanent && !link_local && links_.is_ours(reading.index)) {
    foreign_.push_back(reading.object);
  }
}

void SnapshotBuilder::add_row(const Reading& reading, const Nexthop& nexthop) {
  const std::uint32_t offset = nexthop.key.id - scope_.first_nexthop;
  if (reading.ours) {
    nexthops_.push_back(nexthop);
  } else if (offset < kNexthopIds) {
    taken_nexthops_.push_back(nexthop.key.id);
  }
}

// The kernel lists the routes of one destination and metric in a row, the one that it uses first.
void SnapshotBuilder::add_row(const Reading& reading, const Route& route) {
  if (!reading.may_replace_ours) {
    return;
  }
  Route row = route;
  const bool same =
      last_route_ && last_route_->dst == route.key.dst && last_route_->metric == route.key.metric;
  row.key.place = same ? last_route_->place + 1 : 0;
  last_route_ = row.key;
  if (reading.ours) {
    routes_.push_back(row);
  } else if (is_left_by_reference(scope_, route)) {
    leftovers_.push_back(row);
  } else if (links_.is_ours(reading.index) && route.protocol != RTPROT_KERNEL) {
    foreign_.emplace_back(row);
  }
  if (!reading.ours && in_our_networks(scope_, row.key.dst)) {
    foreign_routes_.push_back(row);
  }
}

// An FDB entry says of no network, but leads to the neighbour that has its MAC.
void SnapshotBuilder::disown_entries_of_foreign_neighbours() {
  std::set<std::pair<Dev, Mac>> theirs;
  for (const Object& object : foreign_) {
    if (const Neighbour* neighbour = std::get_if<Neighbour>(&object)) {
      theirs.insert({neighbour->key.dev, neighbour->mac});
    }
  }
  for (const Neighbour& neighbour : theirs.empty() ? std::vector<Neighbour>() : neighbours_) {
    theirs.erase({neighbour.key.dev, neighbour.mac});
  }
  const auto foreign = [&theirs](const FdbEntry& entry) {
    return theirs.contains({entry.key.dev, entry.key.mac});
  };
  std::copy_if(fdb_.begin(), fdb_.end(), std::back_inserter(foreign_), foreign);
  std::erase_if(fdb_, foreign);
}

void SnapshotBuilder::put_foreign(KindSet kinds, Snapshot& snapshot) {
  std::erase_if(snapshot.foreign,
                [&](const Object& object) { return (kind_of(object) & kinds).any(); });
  std::ranges::move(foreign_, std::back_inserter(snapshot.foreign));
}

void SnapshotBuilder::finish_links(Snapshot& snapshot) {
  snapshot.ours.of<Link>() = Table<Link>(std::move(ours_));
  put_foreign(kinds<Link>(), snapshot);
}

void SnapshotBuilder::finish(Snapshot& snapshot) {
  disown_entries_of_foreign_neighbours();
  const auto put = [&]<class... T>(std::vector<T>&... rows) {
    ((snapshot.ours.of<T>() = Table<T>(std::move(rows))), ...);
    put_foreign(kinds<T...>(), snapshot);
  };
  put(ours_, addresses_, neighbours_, fdb_, nexthops_, routes_);
  snapshot.leftovers = Table<Route>(std::move(leftovers_));
  snapshot.foreign_routes = Table<Route>(std::move(foreign_routes_));
  std::sort(taken_nexthops_.begin(), taken_nexthops_.end());
  snapshot.taken_nexthops = std::move(taken_nexthops_);
}

}  // namespace flannel::netlink

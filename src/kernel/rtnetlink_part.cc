#include "kernel/rtnetlink_part.h"

#include <linux/rtnetlink.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "kernel/address_codec.h"
#include "kernel/neighbour_codec.h"
#include "kernel/nexthop_codec.h"
#include "kernel/route_codec.h"

namespace flannel {
namespace {

// Each answer takes some 5 kB of the socket's receive buffer (net/ipv4/route.c asks for
// NLMSG_GOODSIZE), which must hold those of a batch.
constexpr std::size_t kPathsABatch = 128;

}  // namespace

using netlink::AddressMessage;
using netlink::DefaultRouteMessage;
using netlink::LinkMessage;
using netlink::MessageView;
using netlink::Reading;
using netlink::RouteMessage;

// The dumps of one snapshot.
class RtnetlinkPart::Dumper {
 public:
  // Devices alone, or all: with an address or a nexthop the kernel drops routes without a word, and
  // whose an FDB entry is its neighbour says.
  Dumper(RtnetlinkPart& kernel, const Scope& scope, KindSet kinds)
      : kernel_(kernel),
        scope_(scope),
        devices_only_((kinds & kernel.kinds()) == flannel::kinds<Link>()),
        builder_(scope) {}

  void run(Snapshot& snapshot) {
    builder_.add_links(kernel_.list_links());
    kernel_.links_.add_unknown(builder_.links());
    if (devices_only_) {
      builder_.finish_links(snapshot);
      return;
    }
    for (const int index : builder_.links().ours) {
      dump("addresses", [&](auto& request) { netlink::encode_dump_addresses(request, index); });
      dump("neighbours", [&](auto& request) { netlink::encode_dump_neighbours(request, index); });
      dump("FDB entries", [&](auto& request) { netlink::encode_dump_fdb(request, index); });
    }
    snapshot.nexthops_supported =
        dump("nexthops", [](auto& request) { netlink::encode_dump_nexthops(request); }, EOPNOTSUPP);
    // The whole table: what has a key of ours, or comes before us, may be of any protocol.
    for (const Family family : kFamilies) {
      dump("routes", [&](auto& request) { netlink::encode_dump_routes(request, family); }, ENOENT);
    }
    builder_.finish(snapshot);
  }

 private:
  // False where the kernel answers with `missing`: a namespace in which no route was ever made has
  // no table, an old kernel no nexthops.
  template <class Encode>
  bool dump(std::string_view what, Encode encode, int missing = 0) {
    netlink::Batch request;
    encode(request);
    try {
      builder_.add(kernel_.requests_.dump<Reading>(request, what, [&](const MessageView& message) {
        return relevant(netlink::read_object(message, scope_, builder_.links()));
      }));
    } catch (const std::system_error& error) {
      if (missing == 0 || error.code().value() != missing) {
        throw;
      }
      return false;
    }
    return true;
  }

  // Of a router's full table nothing is kept.
  std::optional<Reading> relevant(std::optional<Reading> reading) const {
    const Route* route = reading ? std::get_if<Route>(&reading->object) : nullptr;
    const bool keep = route == nullptr || reading->ours ||
                      builder_.links().is_ours(reading->index) ||
                      in_our_networks(scope_, route->key.dst);
    return keep ? std::move(reading) : std::nullopt;
  }

  RtnetlinkPart& kernel_;
  const Scope& scope_;
  const bool devices_only_;
  netlink::SnapshotBuilder builder_;
};

RtnetlinkPart::RtnetlinkPart() = default;

Result<void> RtnetlinkPart::may_change() {
  // There is no device of index 0. Before the kernel finds that out, it looks at the privilege, by
  // the user namespace that this network namespace belongs to (net/core/rtnetlink.c,
  // rtnetlink_rcv_msg).
  netlink::Batch request;
  netlink::encode_remove_link(request, 0);
  if (requests_.transact(request)[0].error == EPERM) {
    return fail(
        "CAP_NET_ADMIN is missing in this network namespace: without it no device, address or "
        "route can be made");
  }
  return {};
}

void RtnetlinkPart::invalidate_lists() {
  listed_links_.invalidate();
  listed_addresses_.invalidate();
}

// Every change is told of before it is over (net/core/rtnetlink.c, rtnetlink_event), so that
// without news the last list is what there is. It lasts no longer than a moment all the same: of
// what changes on a device that is down, and of settings that the list has, the kernel tells nobody
// (net/core/dev.c, netdev_state_change).
template <class T>
const std::vector<T>& RtnetlinkPart::list(Recent<std::vector<T>>& last, netlink::Batch& request,
                                          std::string_view what,
                                          std::optional<T> (*decode)(const MessageView&)) {
  if (notifications_.has_news()) {
    invalidate_lists();
  }
  return last.get(Recent<std::vector<T>>::Clock::now(),
                  [&] { return requests_.dump<T>(request, what, decode); });
}

const std::vector<LinkMessage>& RtnetlinkPart::list_links() {
  netlink::Batch request;
  netlink::encode_dump_links(request);
  return list(listed_links_, request, "links", netlink::decode_link);
}

const std::vector<AddressMessage>& RtnetlinkPart::list_addresses() {
  netlink::Batch request;
  netlink::encode_dump_addresses(request, 0);
  return list(listed_addresses_, request, "addresses", netlink::decode_address);
}

void RtnetlinkPart::dump(const Scope& scope, KindSet kinds, Snapshot& snapshot) {
  Dumper(*this, scope, kinds).run(snapshot);
}

Dev RtnetlinkPart::name_of(int index) {
  if (!links_.all.contains(index)) {
    links_.add_unknown(netlink::LinkTable(list_links()));
  }
  return links_.name_of(index);
}

std::vector<RouteMessage> RtnetlinkPart::first_routes(
    Family family, const std::map<Route::Key, std::size_t>& keys) {
  if (keys.empty()) {
    return {};
  }
  netlink::Batch request;
  netlink::encode_dump_routes(request, family);
  std::vector<RouteMessage> found =
      requests_.dump<RouteMessage>(request, "routes", [&](const MessageView& message) {
        std::optional<RouteMessage> route = netlink::decode_route(message);
        const bool wanted = route && route->in_main_table && keys.contains(route->route.key);
        return wanted ? route : std::nullopt;
      });
  // The kernel lists those of one key in a row, the one that it uses first.
  const auto same_key = [](const RouteMessage& a, const RouteMessage& b) {
    return a.route.key == b.route.key;
  };
  found.erase(std::unique(found.begin(), found.end(), same_key), found.end());
  return found;
}

std::optional<LinkMessage> RtnetlinkPart::find_link(const Dev& name) {
  netlink::Batch request;
  netlink::encode_get_link(request, name);
  std::optional<LinkMessage> link;
  requests_.transact(request, [&](std::size_t, const MessageView& message) {
    link = netlink::decode_link(message);
  });
  return link;
}

int RtnetlinkPart::index_of(const Dev& name) {
  int& index = indices_[name];
  if (index == 0 || requests_.device_name(index) != name) {
    const std::optional<LinkMessage> found = find_link(name);
    index = found ? found->index : 0;
  }
  return index;
}

std::vector<DefaultRouteMessage> RtnetlinkPart::list_default_routes() {
  std::vector<DefaultRouteMessage> routes;
  for (const Family family : kFamilies) {
    netlink::Batch request;
    netlink::encode_dump_routes(request, family);
    try {
      for (DefaultRouteMessage& found : requests_.dump<DefaultRouteMessage>(
               request, "default routes", netlink::decode_default_route)) {
        // A kernel without IPv6 (ipv6.disable=1) answers with the routes of IPv4.
        if (found.route.family == family) {
          routes.push_back(std::move(found));
        }
      }
    } catch (const std::system_error& error) {
      if (error.code().value() != ENOENT) {
        throw;
      }
    }
  }
  return routes;
}

HostView RtnetlinkPart::host() {
  HostView view;
  const std::vector<LinkMessage>& links = list_links();
  const netlink::LinkTable listed(links);
  links_.add_unknown(listed);
  for (const LinkMessage& link : links) {
    view.interfaces.push_back({link.link.key.name,
                               link.index,
                               link.link.mtu,
                               link.link.up,
                               {},
                               link.ignores_advertisements,
                               link.has_carrier});
  }
  std::sort(view.interfaces.begin(), view.interfaces.end(),
            [](const HostInterface& a, const HostInterface& b) { return a.index < b.index; });
  for (const AddressMessage& found : list_addresses()) {
    for (HostInterface& interface : view.interfaces) {
      if (interface.index == found.index) {
        interface.addresses.push_back(found.address);
      }
    }
  }
  if (!default_routes_.cached()) {
    default_routes_.set(list_default_routes());
  }
  for (const DefaultRouteMessage& found : *default_routes_.cached()) {
    view.default_routes.push_back(found.route);
    view.default_routes.back().dev =
        found.devices.empty() ? Dev() : listed.name_of(found.devices.front());
  }
  return view;
}

std::vector<Path> RtnetlinkPart::paths(std::span<const IpAddr> to) {
  if (links_.all.empty()) {
    links_.add_unknown(netlink::LinkTable(list_links()));
  }
  std::vector<Path> paths(to.size());
  for (std::size_t start = 0; start < to.size(); start += kPathsABatch) {
    netlink::Batch request;
    for (const IpAddr& ip : to.subspan(start, std::min(kPathsABatch, to.size() - start))) {
      netlink::encode_get_path(request, ip);
    }
    requests_.transact(request, [&](std::size_t index, const MessageView& message) {
      if (std::optional<netlink::PathMessage> found = netlink::decode_path(message)) {
        if (const auto device = links_.all.find(found->index); device != links_.all.end()) {
          found->path.dev = device->second.name;
          found->path.shared_link = device->second.shared;
        }
        paths[start + index] = found->path;
      }
    });
  }
  return paths;
}

}  // namespace flannel

// Routes of the main table <-> rtnetlink messages (linux/rtnetlink.h).
#pragma once

#include <linux/rtnetlink.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernel/kernel.h"
#include "kernel/net_state.h"
#include "kernel/netlink_message.h"

namespace flannel::netlink {

// `route.dev` is only known by index here. A route through a nexthop object has only that in
// `route`, but the index of the device it leaves by as well.
struct RouteMessage {
  Route route;
  int index = 0;
  bool in_main_table = true;  // with TOS 0, where ours are

  bool is_plain() const { return in_main_table && route.type == RTN_UNICAST; }
};

// As `ip route` prints it, its device as `dev`, for an operator.
std::string to_text(const RouteMessage& message, const Dev& dev);

// RTM_NEWROUTE and RTM_DELROUTE, but of what the kernel cached; nothing for other messages and
// malformed ones.
std::optional<RouteMessage> decode_route(const MessageView& message);

// A route of the main table to everywhere, of RTM_NEWROUTE; `route.dev` is only known by index
// here. Nothing for other routes and messages.
struct DefaultRouteMessage {
  DefaultRoute route;
  std::vector<int> devices;  // of all paths, by index
  bool by_nexthop = false;   // through a nexthop object
};
std::optional<DefaultRouteMessage> decode_default_route(const MessageView& message);

// `index` is not used where the route goes through a nexthop object. `exclusive`: fails with EEXIST
// where there is a route of the same key, whatever its kind; else the first one is replaced.
void encode_put(Batch& batch, const Route& route, int index, bool exclusive = false);
// The first of its key, by key and protocol alone: with a path in the request the kernel misses a
// route that goes through a nexthop object, and refuses it where that object is gone. One that is
// behind another is identified by its path.
void encode_remove(Batch& batch, const Route& route, int index);
// The first route of that key and protocol, whatever its kind (unicast, blackhole, …).
void encode_remove_first(Batch& batch, const Route::Key& key, std::uint8_t protocol);
// Asks for one family's routes of the main table, of one protocol (0: all).
void encode_dump_routes(Batch& batch, Family family, std::uint8_t protocol = 0);

// Asks for the path to an address.
void encode_get_path(Batch& batch, const IpAddr& to);
// The answer; `path.dev` is only known by index here. Nothing where the address is not to be
// reached (blackhole, unreachable), for other messages and malformed ones.
struct PathMessage {
  Path path;
  int index = 0;
};
std::optional<PathMessage> decode_path(const MessageView& message);

}  // namespace flannel::netlink

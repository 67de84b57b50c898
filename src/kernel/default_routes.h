// A cache of the host's default routes: in a router's full table they are a few of a million
// routes, and the kernel cannot be asked for them alone.
#pragma once

#include <optional>
#include <vector>

#include "kernel/netlink_message.h"
#include "kernel/route_codec.h"

namespace flannel::netlink {

class DefaultRoutes {
 public:
  // Nothing where they have to be dumped.
  const std::optional<std::vector<DefaultRouteMessage>>& cached() const { return cached_; }
  void set(std::vector<DefaultRouteMessage> routes) { cached_ = std::move(routes); }

  // A notification, of any kind: invalidates them where it may have changed them. Of routes that
  // go with something else the kernel sends none (net/ipv4/fib_frontend.c, fib_disable_ip;
  // net/ipv4/fib_semantics.c, fib_sync_down_addr; net/ipv4/nexthop.c): with a device that goes
  // down, its last address, the address that they send from, or a nexthop object.
  void on_notification(const MessageView& message);
  void invalidate() { cached_.reset(); }

 private:
  bool may_change(const MessageView& message) const;

  std::optional<std::vector<DefaultRouteMessage>> cached_;
};

}  // namespace flannel::netlink

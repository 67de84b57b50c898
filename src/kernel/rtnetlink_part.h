// Links, addresses, neighbours, FDB entries, nexthops and routes over rtnetlink, in the network
// namespace of the thread that makes the object; and what else of the host is seen there.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/recent.h"
#include "kernel/address_codec.h"
#include "kernel/default_routes.h"
#include "kernel/netlink_socket.h"
#include "kernel/object_reader.h"
#include "kernel/part.h"
#include "kernel/route_codec.h"

namespace flannel {

class RtnetlinkPart : public Part, public HostNetwork {
 public:
  // Subscribes to notifications first, so that nothing between the first dump and the first
  // changes() is missed. Throws std::system_error.
  RtnetlinkPart();

  KindSet kinds() const override {
    return flannel::kinds<Link, Address, Neighbour, FdbEntry, Nexthop, Route>();
  }
  void dump(const Scope& scope, KindSet kinds, Snapshot& snapshot) override;
  std::vector<OpResult> apply(std::span<const Op> ops) override;
  int notify_fd() const override { return notifications_.fd(); }
  void changes(const Scope& scope, Changes& changes) override;

  HostView host() override;
  std::vector<Path> paths(std::span<const IpAddr> to) override;

  // Kernel::may_change().
  Result<void> may_change();

 private:
  class Applier;
  class Listener;
  class Dumper;

  // As the kernel has them now; valid until the next call of either.
  const std::vector<netlink::LinkMessage>& list_links();
  const std::vector<netlink::AddressMessage>& list_addresses();
  void invalidate_lists();
  template <class T>
  const std::vector<T>& list(Recent<std::vector<T>>& last, netlink::Batch& request,
                             std::string_view what,
                             std::optional<T> (*decode)(const netlink::MessageView&));
  std::vector<netlink::DefaultRouteMessage> list_default_routes();
  // Also of a device that no notification was about yet; empty where there is none.
  Dev name_of(int index);
  // Of the main table's routes with one of `keys` the one that the kernel uses.
  std::vector<netlink::RouteMessage> first_routes(Family family,
                                                  const std::map<Route::Key, std::size_t>& keys);
  // As the kernel has it now; nothing where there is none of that name.
  std::optional<netlink::LinkMessage> find_link(const Dev& name);
  // Its index as the kernel has it now, since others rename devices and make them anew; 0 where
  // there is none. What is known is checked, which takes a fraction of asking for a device.
  int index_of(const Dev& name);

  netlink::RequestSocket requests_;
  netlink::NotificationSocket notifications_;
  netlink::LinkTable links_;
  std::vector<Link> made_;      // by apply(), since notifications were read last
  std::map<Dev, int> indices_;  // of devices that were asked for
  Recent<std::vector<netlink::LinkMessage>> listed_links_;
  Recent<std::vector<netlink::AddressMessage>> listed_addresses_;
  netlink::DefaultRoutes default_routes_;
};

}  // namespace flannel

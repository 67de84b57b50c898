// NetlinkKernel::changes: what notifications mean for what is ours.

#include <linux/rtnetlink.h>

#include "kernel/address_codec.h"
#include "kernel/neighbour_codec.h"
#include "kernel/netlink_kernel.h"
#include "kernel/nexthop_codec.h"
#include "kernel/route_codec.h"

namespace flannel {

using netlink::MessageView;

class NetlinkKernel::Listener {
 public:
  Listener(NetlinkKernel& kernel, const Scope& scope) : kernel_(kernel), scope_(scope) {}

  void take(const MessageView& message) {
    switch (message.type) {
      case RTM_NEWLINK:
      case RTM_DELLINK:
        return link(message, message.type == RTM_DELLINK);
      case RTM_NEWADDR:
      case RTM_DELADDR:
        return address(message, message.type == RTM_DELADDR);
      case RTM_NEWNEIGH:
      case RTM_DELNEIGH:
        return neighbour(message, message.type == RTM_DELNEIGH);
      case RTM_NEWNEXTHOP:
      case RTM_DELNEXTHOP:
        return nexthop(message, message.type == RTM_DELNEXTHOP);
      case RTM_NEWROUTE:
      case RTM_DELROUTE:
        return route(message, message.type == RTM_DELROUTE);
      default:
        return;
    }
  }

  Changes changes;

 private:
  void link(const MessageView& message, bool removed) {
    std::optional<netlink::LinkMessage> found = netlink::decode_link(message);
    if (!found) {
      return;
    }
    const bool known = kernel_.own_links_.contains(found->index);
    if (removed) {
      kernel_.names_.erase(found->index);
      changes.dump_needed = changes.dump_needed || kernel_.own_links_.erase(found->index) > 0;
      changes.host_changed = changes.host_changed || !known;
      return;
    }
    kernel_.names_[found->index] = found->link.key.name;
    if (!known && !owns_link(scope_, found->link)) {
      changes.host_changed = true;
      return;
    }
    if (Vxlan* vxlan = std::get_if<Vxlan>(&found->link.kind)) {
      vxlan->lower = kernel_.name_of(found->lower_index);
    }
    // Most notifications of a link tell of nothing that we look at.
    Link& last = kernel_.own_links_[found->index];
    changes.dump_needed = changes.dump_needed || last != found->link;
    last = std::move(found->link);
  }

  void address(const MessageView& message, bool removed) {
    const std::optional<netlink::AddressMessage> found = netlink::decode_address(message);
    if (!found) {
      return;
    }
    const bool ours = kernel_.on_our_link(found->index);
    const Address object{{kernel_.name_of(found->index), found->address.prefix}};
    changes.host_changed = changes.host_changed || !ours;
    if (owns_address(ours, object)) {
      changes.ours.push_back({removed, object});
    }
  }

  void neighbour(const MessageView& message, bool removed) {
    std::optional<netlink::NeighbourMessage> found = netlink::decode_neighbour(message);
    if (!found || !kernel_.on_our_link(found->index)) {
      return;
    }
    const Dev dev = kernel_.name_of(found->index);
    std::visit([&dev](auto& object) { object.key.dev = dev; }, found->object);
    // An entry that is not permanent any more is not what we put there.
    const bool owned = std::visit(
        [&](const auto& object) { return owns(found->permanent, object); }, found->object);
    std::visit([&](const auto& object) { changes.ours.push_back({removed || !owned, object}); },
               found->object);
  }

  static bool owns(bool permanent, const Neighbour& row) {
    return owns_neighbour(true, permanent, row);
  }
  static bool owns(bool permanent, const FdbEntry& row) {
    return owns_fdb_entry(true, permanent, row);
  }

  void nexthop(const MessageView& message, bool removed) {
    std::optional<netlink::NexthopMessage> found = netlink::decode_nexthop(message);
    if (found && owns_nexthop(scope_, found->protocol, found->nexthop)) {
      found->nexthop.dev = kernel_.name_of(found->index);
      changes.ours.push_back({removed, found->nexthop});
    }
  }

  void route(const MessageView& message, bool removed) {
    std::optional<netlink::RouteMessage> found = netlink::decode_route(message);
    if (!found) {
      return;
    }
    changes.host_changed = changes.host_changed || found->route.key.dst.length == 0;
    if (owns_route(scope_, kernel_.on_our_link(found->index), found->route)) {
      if (found->route.nexthop == 0) {
        found->route.dev = kernel_.name_of(found->index);
      }
      changes.ours.push_back({removed, found->route});
    }
  }

  NetlinkKernel& kernel_;
  const Scope& scope_;
};

Changes NetlinkKernel::changes(const Scope& scope) {
  Listener listener(*this, scope);
  const bool complete =
      notifications_.drain([&](const MessageView& message) { listener.take(message); });
  listener.changes.dump_needed = listener.changes.dump_needed || !complete;
  listener.changes.host_changed = listener.changes.host_changed || !complete;
  return std::move(listener.changes);
}

}  // namespace flannel

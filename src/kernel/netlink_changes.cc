// NetlinkKernel::changes: what notifications mean for what is ours, and for the host.

#include <linux/rtnetlink.h>

#include "kernel/netlink_kernel.h"

namespace flannel {

using netlink::MessageView;
using netlink::Reading;

class NetlinkKernel::Listener {
 public:
  Listener(netlink::LinkTable& links, const Scope& scope) : links_(links), scope_(scope) {}

  void take(const MessageView& message) {
    if (const std::optional<netlink::LinkMessage> found = netlink::decode_link(message)) {
      if (message.type == RTM_DELLINK) {
        link_gone(*found);
      } else {
        link(*found);
      }
    } else if (message.type == RTM_NEWRULE || message.type == RTM_DELRULE) {
      changes.host.all = true;
    } else if (std::optional<Reading> reading = netlink::read_object(message, scope_, links_)) {
      // RTM_DEL… is RTM_NEW… + 1, and those are even (linux/rtnetlink.h).
      object(std::move(*reading), (message.type & 1) != 0);
    }
  }

  Changes changes;

 private:
  void link_gone(const netlink::LinkMessage& found) {
    links_.all.erase(found.index);
    const bool ours = links_.ours.erase(found.index) > 0;
    if (!ours) {
      changes.host.links.push_back(found.link.key.name);
    }
    changes.dump_needed = changes.dump_needed || ours || links_.carriers.erase(found.index) > 0;
  }

  // Most notifications of a link tell of nothing that we look at.
  void link(netlink::LinkMessage found) {
    netlink::LinkTable::Device& device = links_.all[found.index];
    const netlink::LinkTable::Device was = device;
    device = {found.link.key.name, found.link.up, found.link.mtu};
    if (!links_.is_ours(found.index) && !owns_link(scope_, found.link)) {
      const bool went_down = was.up && !found.link.up && links_.carriers.contains(found.index);
      changes.dump_needed = changes.dump_needed || went_down;
      if (was != device) {
        changes.host.links.push_back(found.link.key.name);
      }
      return;
    }
    if (Vxlan* vxlan = std::get_if<Vxlan>(&found.link.kind)) {
      vxlan->lower = links_.name_of(found.lower_index);
    }
    Link& last = links_.ours[found.index];
    changes.dump_needed = changes.dump_needed || last != found.link;
    last = std::move(found.link);
  }

  void object(Reading reading, bool removed) {
    const Route* route = std::get_if<Route>(&reading.object);
    const bool on_our_link = links_.is_ours(reading.index);
    if (route != nullptr && !reading.ours) {
      changes.host.routes.push_back(route->key.dst);
    } else if (std::holds_alternative<Address>(reading.object) && !on_our_link) {
      changes.host.links.push_back(links_.name_of(reading.index));
      // With its last address go the routes by a device, silently.
      changes.dump_needed =
          changes.dump_needed || (removed && links_.carriers.contains(reading.index));
    }
    const bool is_nexthop = std::holds_alternative<Nexthop>(reading.object);
    if (reading.ours && !on_our_link && !removed && (route != nullptr || is_nexthop)) {
      links_.carriers.insert(reading.index);
    }
    // What has its key now and is not ours has taken the place of ours.
    const bool in_place_of_ours =
        reading.may_replace_ours && (on_our_link || is_nexthop ||
                                     (route != nullptr && in_our_networks(scope_, route->key.dst)));
    if (reading.ours || in_place_of_ours) {
      changes.ours.push_back({removed || !reading.ours, std::move(reading.object)});
    }
  }

  netlink::LinkTable& links_;
  const Scope& scope_;
};

Changes NetlinkKernel::changes(const Scope& scope) {
  Listener listener(links_, scope);
  const bool complete =
      notifications_.drain([&](const MessageView& message) { listener.take(message); });
  listener.changes.dump_needed = listener.changes.dump_needed || !complete;
  listener.changes.host.all = listener.changes.host.all || !complete;
  return std::move(listener.changes);
}

}  // namespace flannel

// RtnetlinkPart::changes: what notifications mean for what is ours, and for the host.

#include <linux/rtnetlink.h>

#include <algorithm>
#include <utility>

#include "kernel/rtnetlink_part.h"

namespace flannel {

using netlink::MessageView;
using netlink::Reading;

namespace {

// Links, or their addresses.
bool is_about_interfaces(const MessageView& message) {
  return message.type == RTM_NEWLINK || message.type == RTM_DELLINK ||
         message.type == RTM_NEWADDR || message.type == RTM_DELADDR;
}

// A device is made in steps, of which each is told: down, without alias, then as it is to be. By
// then all of them are there to be read. Nothing of ours was on it yet, so that whatever it was
// before it was as `made` means nothing.
void leave_out_making(const Link& made, std::vector<Change>& changes, std::size_t first) {
  const auto begin = changes.begin() + static_cast<std::ptrdiff_t>(first);
  const auto is_made = [&](const Change& change) {
    return !change.removed && change.object == Object(made);
  };
  const auto end = std::find_if(begin, changes.end(), is_made);
  if (end != changes.end()) {
    changes.erase(std::remove_if(begin, end,
                                 [&](const Change& change) {
                                   const Link* link = std::get_if<Link>(&change.object);
                                   return link != nullptr && link->key == made.key;
                                 }),
                  end);
  }
}

}  // namespace

class RtnetlinkPart::Listener {
 public:
  Listener(netlink::LinkTable& links, const Scope& scope, Changes& into)
      : changes(into), links_(links), scope_(scope) {}

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

  Changes& changes;

 private:
  void link_gone(const netlink::LinkMessage& found) {
    links_.all.erase(found.index);
    const bool was_ours = links_.ours.erase(found.index) > 0;
    if (was_ours || owns_link(scope_, found.link)) {
      changes.ours.push_back({true, found.link});
    } else {
      changes.host.links.push_back(found.link.key.name);
    }
  }

  // Whether it says anything new of a link of ours is decided by the reader of the changes, who
  // knows what was there. Of others' links most notifications are about fields that nobody here
  // uses.
  void link(netlink::LinkMessage found) {
    netlink::LinkTable::Device& device = links_.all[found.index];
    const netlink::LinkTable::Device was = device;
    device = {found.link.key.name, found.link.up, found.link.mtu, found.shared, found.has_carrier};
    const bool was_ours = links_.ours.erase(found.index) > 0;
    if (was_ours && was.name != device.name) {
      Link before = found.link;
      before.key.name = was.name;
      changes.ours.push_back({true, std::move(before)});
    }
    if (owns_link(scope_, found.link)) {
      links_.ours.insert(found.index);
      links_.name_devices(found);
      changes.ours.push_back({false, std::move(found.link)});
    } else if (was_ours && was.name == device.name) {
      changes.ours.push_back({true, std::move(found.link)});
    } else if (was != device) {
      changes.host.links.push_back(device.name);
      if (was.name != device.name && !was.name.empty()) {
        changes.host.links.push_back(was.name);
      }
    }
  }

  void object(Reading reading, bool removed) {
    const Route* route = std::get_if<Route>(&reading.object);
    const bool on_our_link = links_.is_ours(reading.index);
    if (route != nullptr && !reading.ours) {
      changes.host.routes.push_back(route->key.dst);
    } else if (std::holds_alternative<Address>(reading.object) && !on_our_link) {
      changes.host.links.push_back(links_.name_of(reading.index));
    }
    const bool in_networks =
        route != nullptr && reading.may_replace_ours && in_our_networks(scope_, route->key.dst);
    if (in_networks && !reading.ours) {
      changes.foreign_routes.push_back({removed, *route});
    }
    // What has its key now and is not ours has taken the place of ours.
    const bool in_place_of_ours =
        in_networks || (reading.may_replace_ours &&
                        (on_our_link || std::holds_alternative<Nexthop>(reading.object)));
    if (reading.ours || in_place_of_ours) {
      changes.ours.push_back({removed || !reading.ours, std::move(reading.object)});
    }
  }

  netlink::LinkTable& links_;
  const Scope& scope_;
};

void RtnetlinkPart::changes(const Scope& scope, Changes& changes) {
  const std::size_t first = changes.ours.size();
  Listener listener(links_, scope, changes);
  const bool complete = notifications_.drain([&](const MessageView& message) {
    if (is_about_interfaces(message)) {
      invalidate_lists();
    }
    default_routes_.on_notification(message);
    listener.take(message);
  });
  for (const Link& link : std::exchange(made_, {})) {
    leave_out_making(link, changes.ours, first);
  }
  if (!complete) {
    invalidate_lists();
    default_routes_.invalidate();
    changes.dump_needed |= kinds();
    changes.host.all = true;
    links_ = {};  // listed again by the next dump
  }
}

}  // namespace flannel

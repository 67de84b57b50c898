#include "kernel/default_routes.h"

#include <linux/nexthop.h>
#include <linux/rtnetlink.h>

#include <algorithm>

#include "kernel/address_codec.h"

namespace flannel::netlink {
namespace {

template <class Header>
Header header_of(const MessageView& message) {
  Bytes rest = message.payload;
  return take_header<Header>(rest).value_or(Header{});
}

bool leaves_by(const DefaultRouteMessage& route, int index) {
  return std::ranges::count(route.devices, index) > 0;
}

}  // namespace

void DefaultRoutes::on_notification(const MessageView& message) {
  if (cached_ && may_change(message)) {
    invalidate();
  }
}

bool DefaultRoutes::may_change(const MessageView& message) const {
  switch (message.type) {
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
      return header_of<rtmsg>(message).rtm_dst_len == 0;
    case RTM_NEWLINK:
    case RTM_DELLINK:
      return std::ranges::any_of(*cached_, [&](const DefaultRouteMessage& route) {
        return leaves_by(route, header_of<ifinfomsg>(message).ifi_index);
      });
    case RTM_DELADDR: {
      const std::optional<AddressMessage> gone = decode_address(message);
      return gone && std::ranges::any_of(*cached_, [&](const DefaultRouteMessage& route) {
               return leaves_by(route, gone->index) ||
                      route.route.source == gone->address.prefix.ip;
             });
    }
    case RTM_NEWNEXTHOP:
    case RTM_DELNEXTHOP:
      return std::ranges::any_of(*cached_, &DefaultRouteMessage::by_nexthop);
    default:
      return false;
  }
}

}  // namespace flannel::netlink

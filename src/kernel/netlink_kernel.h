// The real kernel, over rtnetlink, in the network namespace of the thread that makes the object.
#pragma once

#include <map>
#include <span>
#include <unordered_map>
#include <vector>

#include "kernel/kernel.h"
#include "kernel/link_codec.h"
#include "kernel/netlink_socket.h"

namespace flannel {

class NetlinkKernel : public Kernel {
 public:
  // Subscribes to notifications first, so that nothing between the first dump and the first
  // changes() is missed. Throws std::system_error.
  NetlinkKernel();

  Snapshot dump(const Scope& scope) override;
  std::vector<OpResult> apply(std::span<const Op> ops) override;
  HostView host() override;
  int notify_fd() const override { return notifications_.fd(); }
  Changes changes(const Scope& scope) override;

 private:
  class Applier;
  class Listener;

  std::vector<netlink::LinkMessage> dump_links();
  // 0 where there is no such device.
  int index_of(const Dev& name);
  Dev name_of(int index) const;
  bool on_our_link(int index) const { return own_links_.contains(index); }
  void dump_link_objects(int index, NetState& state);
  void dump_nexthops(const Scope& scope, Snapshot& snapshot);
  std::vector<Route> dump_routes(const Scope& scope, Family family, int index,
                                 std::uint8_t protocol);
  // Reads one link anew after we changed it, so that its notification says nothing new.
  void reread_link(const Dev& name);

  netlink::RequestSocket requests_;
  netlink::NotificationSocket notifications_;
  std::unordered_map<int, Dev> names_;  // of every device, as far as heard
  std::map<int, Link> own_links_;       // by index, as last seen
};

}  // namespace flannel

// The container's end of its link.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cni/bridge/bridge_config.h"
#include "cni/host/link_socket.h"
#include "cni/host/netns.h"
#include "cni/protocol/result.h"

namespace flannel::cni {

class ContainerLink {
 public:
  // The interface `ifname` of the namespace, which is entered for as long as this takes: the
  // socket stays. Throws CniError where there is none.
  ContainerLink(const NetNs& netns, std::string ifname, const BridgeConfig& config);

  const LinkInfo& info() const { return info_; }
  // Gives it the result's addresses and routes and sets it up. A route without gateway goes by the
  // first gateway of its family. Throws CniError.
  void configure(const AddResult& result);
  // Waits until none of the result's IPv6 addresses is tentative (duplicate address detection, RFC
  // 4862). Throws CniError where another node has one.
  void wait_for_addresses(const AddResult& result);
  // Announces its addresses to the neighbours (gratuitous ARP); the other end forwards.
  void announce();

 private:
  const NetNs& netns_;
  std::string ifname_;
  std::optional<LinkSocket> links_;  // of the namespace
  LinkInfo info_;
};

// Removes an interface and returns the addresses that it had, none where there was no such
// interface, or one that is no veth, which no ADD has made. Returns when the kernel has taken it
// off its lists and said so; the rest of its work (waiting for every processor, 90 % of the time)
// goes on behind us.
std::vector<IpAddr> remove_container_link(const NetNs& netns, const std::string& ifname);

}  // namespace flannel::cni

// The container's end of its link.
#pragma once

#include "cni/bridge_config.h"
#include "cni/link_socket.h"
#include "cni/netns.h"
#include "cni/result.h"

namespace flannel::cni {

// Gives the interface `ifname` of the namespace the result's addresses and routes and sets it up.
// A route without gateway goes by the first gateway of its family. Throws CniError.
void configure_container(const NetNs& netns, const std::string& ifname, const BridgeConfig& config,
                         const AddResult& result);

// Removes an interface and returns the addresses that it had, none where there was no such
// interface. Returns when the kernel has taken it off its lists and said so; the rest of its work
// (waiting for every processor, 90 % of the time) goes on behind us.
std::vector<IpAddr> remove_container_link(const NetNs& netns, const std::string& ifname);

}  // namespace flannel::cni

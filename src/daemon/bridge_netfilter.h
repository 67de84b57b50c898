// Whether packets that a bridge passes from one of its ports to another go through iptables
// (br_netfilter): where they do not, a pod that reaches a Service by another pod of its own node
// gets the answer from an address that it has not asked.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "network/network_config.h"

namespace flannel {

inline constexpr const char* kBridgeSettings = "/proc/sys/net/bridge";

// Loads the kernel's module where `folder` is not there, by the program modprobe, which is waited
// for. Error: its words, or that it is not there.
Result<void> load_bridge_netfilter(const std::string& folder = kBridgeSettings);

// What of it does not work for the families of `config`, one sentence each; none where it has
// EnableNFTables, as the Go flannel then has no use for it. `not_loaded`: the error of
// load_bridge_netfilter(). The settings are the host's: they are read and never written.
std::vector<std::string> bridge_netfilter_warnings(const NetworkConfig& config,
                                                   const std::string& not_loaded,
                                                   const std::string& folder = kBridgeSettings);

}  // namespace flannel

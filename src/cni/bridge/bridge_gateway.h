// The containers' gateway: addresses on the bridge.
#pragma once

#include <vector>

#include "cni/bridge/bridge_config.h"
#include "cni/host/link_socket.h"
#include "cni/protocol/result.h"

namespace flannel::cni {

// Completes the result of IPAM: every address on the container's interface, its gateway where none
// was named (the subnet's first address), and default routes where asked for. Returns the gateway's
// addresses, none where the bridge is no gateway.
std::vector<Prefix> plan_gateways(const BridgeConfig& config, AddResult& result);

// Puts the addresses on the link and turns forwarding on for their families. Throws CniError where
// it has another address that is in the way and may not be removed.
void ensure_gateways(LinkSocket& host, const BridgeConfig& config, const LinkInfo& link,
                     const std::vector<Prefix>& gateways);

}  // namespace flannel::cni

// Which interface and addresses carry the traffic between nodes: a pure choice from what the
// operator said and what the host has.
#pragma once

#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/result.h"
#include "kernel/kernel.h"
#include "network/network_config.h"

namespace flannel {

struct InterfaceWish {
  std::vector<std::string> names;  // --iface: names or addresses, the first that exists wins
  std::string public_ip;           // --public-ip
  std::string public_ipv6;         // --public-ipv6
};

// Without --iface: the interface that has --public-ip (else --public-ipv6), else that of the
// default route. An empty name stands for the default route too. Where both families are enabled
// the interface must have an address of each. The error says what was looked for and not found.
Result<ExternalInterface> choose_interface(const InterfaceWish& wish, const NetworkConfig& network,
                                           const HostView& host);

}  // namespace flannel

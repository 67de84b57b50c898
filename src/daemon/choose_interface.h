// Which interface and addresses carry the traffic between nodes: a pure choice from what the
// operator said and what the host has.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "base/result.h"
#include "kernel/kernel.h"
#include "network/host_use.h"
#include "network/network_config.h"

namespace flannel {

// The rules are tried in this order; the first that leads to an interface wins.
struct InterfaceOptions {
  std::vector<std::string> names;    // --iface: names or addresses
  std::vector<std::string> regexes;  // --iface-regex: of an address, else of a name; RE2 syntax
  std::string can_reach;             // --iface-can-reach: the way to this address leads over it
  std::string public_ip;             // --public-ip
  std::string public_ipv6;           // --public-ipv6
};

// Without a rule: the interface that has --public-ip (else --public-ipv6), else that of the
// default route. An empty name or expression stands for the default route too. Where both families
// are enabled the interface must have an address of each. `path_to` gives the kernel's way to an
// address. An address that is `in_use` goes before its equals, in whatever order the kernel lists
// them now. The error says what was looked for and not found.
Result<ExternalInterface> choose_interface(const InterfaceOptions& options,
                                           const NetworkConfig& network, const HostView& host,
                                           const std::function<Path(const IpAddr&)>& path_to,
                                           const ExternalInterface* in_use = nullptr);

// What the host uses of addresses, without the devices that `scope` calls ours and those that are
// down.
HostUse host_use(const HostView& host, const Scope& scope);

}  // namespace flannel

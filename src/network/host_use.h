// What the host itself uses of addresses. A peer's subnet there would take packets away from the
// host's own links, and a node's own subnet is not chosen there.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "network/lease.h"
#include "network/network_config.h"

namespace flannel {

// The host's addresses and gateways, without those of our own devices.
struct HostUse {
  struct Address {
    std::string dev;  // which is up
    Prefix prefix;    // host bits kept
    bool operator==(const Address&) const = default;
  };
  std::vector<Address> addresses;
  std::vector<IpAddr> gateways;  // of the default routes
  // Devices that have a default route or an address from router advertisements, and ignore further
  // ones, so that it will expire.
  std::vector<std::string> ignore_advertisements;
  bool operator==(const HostUse&) const = default;
};

// A range that no subnet may overlap, and what it is: `the network of eth1`.
struct OccupiedRange {
  Prefix range;
  std::string use;
};

// The ranges inside the networks that the host uses, in order and disjoint: the connected prefixes,
// the default gateways, and addresses with no link around them. What lies in `own`, our own
// subnets, is left out, as the bridge of our containers has it. A connected prefix around a whole
// network is no obstacle, since each subnet is more specific than it: then only the address itself
// counts.
std::vector<OccupiedRange> occupied_ranges(const HostUse& host, const NetworkConfig& network,
                                           const LeaseKey& own);

// `overlaps 10.5.7.0/24, the network of eth1`, or `holds 10.5.7.1, the default gateway`, where
// `subnet` overlaps one of `ranges`, which are as occupied_ranges() gives them.
std::optional<std::string> conflict(const Prefix& subnet, const std::vector<OccupiedRange>& ranges);

// What an operator should know: that the node will lose its IPv6 default route, where a network and
// the links of the host share addresses, which works for as long as nobody needs both, and where
// our own subnet lies in a link's prefix.
std::vector<std::string> overlay_warnings(const HostUse& host, const NetworkConfig& network,
                                          const LeaseKey& own);

}  // namespace flannel

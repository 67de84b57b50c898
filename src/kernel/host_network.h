// The host's own network: what is there beside our objects, which nobody here changes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/ip.h"
#include "kernel/dev.h"

namespace flannel {

// What changed on the host that is not ours.
struct HostChanges {
  // Anything may have changed: a rule of policy routing did, or notifications were lost.
  bool all = false;
  std::vector<Dev> links;      // these devices, or their addresses; of a renamed one both names
  std::vector<Prefix> routes;  // routes to these destinations, of any table and kind
  bool empty() const { return !all && links.empty() && routes.empty(); }
  // A link, an address or a default route: another interface may have to be chosen.
  bool concern_interfaces() const;
};

// One address of a host interface.
struct HostAddress {
  Prefix prefix;
  bool permanent = true;  // configured, not from DHCP or router advertisements
  bool deprecated = false;
  bool temporary = false;  // RFC 8981
  // Duplicate address detection (RFC 4862) is not over, or found another node that has it.
  bool tentative = false;
  bool duplicate = false;
  bool operator==(const HostAddress&) const = default;
};
struct HostInterface {
  Dev name;
  int index = 0;
  std::uint32_t mtu = 0;
  bool up = false;
  std::vector<HostAddress> addresses;  // in the kernel's order
  // Forwards IPv6 with accept_ra=1, which means only where one does not forward (Linux,
  // Documentation/networking/ip-sysctl.rst): what came by router advertisements is not renewed.
  bool ignores_advertisements = false;
  // Where it is up: its link is as well. So it always is of one that cannot tell, as lo.
  bool has_carrier = true;
  bool operator==(const HostInterface&) const = default;
};
// A route of the main table without destination, or to 0.0.0.0/0 or ::/0, in the kernel's order.
struct DefaultRoute {
  Family family = Family::v4;
  Dev dev;  // the first path's
  std::uint32_t metric = 0;
  std::vector<IpAddr> gateways;  // of all paths; IPv4 may have IPv6 ones
  std::optional<IpAddr> source;  // what packets are sent from, where the route says so
  bool advertised = false;       // came by a router advertisement (RTPROT_RA)
  bool operator==(const DefaultRoute&) const = default;
};
struct HostView {
  std::vector<HostInterface> interfaces;  // by index
  std::vector<DefaultRoute> default_routes;
  bool operator==(const HostView&) const = default;
};

// The way a packet to some address would take now (`ip route get`).
struct Path {
  Dev dev;                       // empty where there is no way
  std::optional<IpAddr> via;     // nothing where the address is on the device's link
  std::optional<IpAddr> source;  // what the packet would be sent from
  // The device is one on which nodes find each other by ARP or NDP: neither NOARP nor
  // point-to-point, as those of most VPNs are.
  bool shared_link = true;
  bool operator==(const Path&) const = default;
};

// Throws std::system_error when the socket itself breaks.
class HostNetwork {
 public:
  virtual ~HostNetwork() = default;

  // Interfaces, addresses and default routes of the host; the last at least as new as what
  // Kernel::changes() reported, since listing them takes as long as the whole main table does.
  virtual HostView host() = 0;

  // One path an address, in their order.
  virtual std::vector<Path> paths(std::span<const IpAddr> to) = 0;
};

inline bool HostChanges::concern_interfaces() const {
  return all || !links.empty() || std::any_of(routes.begin(), routes.end(), [](const Prefix& dst) {
           return dst.length == 0;
         });
}

}  // namespace flannel

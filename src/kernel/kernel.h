// The one boundary to the kernel's network state that tests replace.
//
// Calls are synchronous: the kernel answers a netlink request before sendmsg() returns, so there
// is nothing to wait for. Only notifications are asynchronous, through notify_fd().
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ip.h"
#include "base/result.h"
#include "kernel/net_state.h"
#include "kernel/ownership.h"

namespace flannel {

// The kernel's answer to one op.
struct OpResult {
  int error = 0;     // errno, 0 for success
  std::string text;  // the kernel's extack sentence, or strerror(error); empty on success
  bool ok() const { return error == 0; }
};

// What a dump found.
struct Snapshot {
  NetState ours;
  bool nexthops_supported = true;             // kernel >= 5.3
  std::vector<std::uint32_t> taken_nexthops;  // ids of our range that somebody else uses, sorted
  // What the Go reference may have left and no rule makes ours (is_left_by_reference).
  Table<Route> leftovers;
  // What is on our devices and not ours: an administrator's addresses, routes, permanent neighbours
  // and FDB entries for other networks. It stays.
  std::vector<Object> foreign;
  // What is in the main table to inside our networks and not ours, of whatever type. None but
  // pods' own on most hosts.
  Table<Route> foreign_routes;
};

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

// What notifications said since the last call, in order.
struct Change {
  bool removed = false;
  Object object;
};
struct Changes {
  // Notifications were lost (ENOBUFS): the list below is not the whole truth.
  bool dump_needed = false;
  HostChanges host;
  // Objects of every kind, each as the message had it. Of what the kernel drops along with an
  // object (with a link that goes down its routes) it may say nothing.
  std::vector<Change> ours;
  std::vector<Change> foreign_routes;  // of the rows of that name in the snapshot
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

// All functions throw std::system_error when the socket itself breaks.
class Kernel {
 public:
  virtual ~Kernel() = default;

  // Error: the process lacks the privilege to change anything here, which is named.
  virtual Result<void> may_change() { return {}; }

  // Before the devices of `scope` are made, changed or removed: no other daemon does so as long as
  // this object has the claim, or until it claims those of another scope (DeviceClaim). Error:
  // which one is another's, and whose; then none is claimed.
  virtual Result<void> claim(const Scope& scope) = 0;

  // Everything of ours, from dumps that were complete: one that was interrupted (EINTR,
  // NLM_F_DUMP_INTR) or overran (ENOBUFS) is made again, and after some tries throws.
  virtual Snapshot dump(const Scope& scope) = 0;

  // Applies ops in order and returns one answer an op. An object that is there already as wanted,
  // or gone already, is success. A failure does not stop the ops behind it.
  virtual std::vector<OpResult> apply(std::span<const Op> ops) = 0;

  // Interfaces, addresses and default routes of the host; the last at least as new as what
  // changes() told, since listing them takes as long as the whole main table does.
  virtual HostView host() = 0;

  // One path an address, in their order.
  virtual std::vector<Path> paths(std::span<const IpAddr> to) = 0;

  // Readable when changes() has something to tell. Valid as long as this object.
  virtual int notify_fd() const = 0;
  // Reads all pending notifications; those about objects that `scope` does not own are left out.
  virtual Changes changes(const Scope& scope) = 0;
};

inline bool HostChanges::concern_interfaces() const {
  return all || !links.empty() || std::any_of(routes.begin(), routes.end(), [](const Prefix& dst) {
           return dst.length == 0;
         });
}

}  // namespace flannel

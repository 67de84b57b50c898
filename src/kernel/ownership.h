// Which kernel objects are ours. One rule a kind, each with its row in docs/ownership.md and its
// test; nothing that fails its rule is ever changed or removed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ip.h"
#include "kernel/net_state.h"

namespace flannel {

// What one daemon may call its own. Several daemons share a node when their networks and device
// names differ, so being flannel's is not enough: it must be this network's.
struct Scope {
  std::vector<Dev> links;           // the names we would create
  std::string alias;                // ifalias of our devices, e.g. "flannel 10.5.0.0/16"
  std::vector<Prefix> networks;     // of the configuration; empty takes no route by protocol alone
  std::uint32_t first_nexthop = 0;  // our nexthop objects have ids first .. first + kNexthopIds - 1
  bool adopt_stale = false;         // --adopt-stale: what the Go reference may have left is ours
  std::vector<Prefix> subnets;      // of this node, when they are known
  bool operator==(const Scope&) const = default;
};

inline constexpr std::uint32_t kNexthopIds = 1U << 22;

bool in_our_networks(const Scope& scope, const Prefix& dst);

// A device that carries our alias: ours, also where it is an orphan of an older configuration. Or
// a VXLAN device with our name, such as the Go reference's, or one of a network that this node had
// before: no other daemon uses it, for the name is claimed (Kernel::claim).
bool owns_link(const Scope& scope, const Link& link);
// Why a device of our name is not ours, and what to do; empty where nothing says so.
std::string explain_foreign(const Link& there);

// Whether the kernel takes only one of the two VXLAN devices: those of one VNI, port and family
// receive the same packets (drivers/net/vxlan/vxlan_core.c, vxlan_vni_in_use).
bool has_same_vni(const Link& there, const Link& ours);
// Why ours cannot be made beside `there`, and what to do.
std::string explain_same_vni(const Link& there);

// The facts of an address, neighbour, FDB entry, nexthop or route that its rule looks at, beside
// the object itself; `on_our_link` is for its device (a route's or nexthop's output device).
// Inside our networks, as with the Go reference; so neither link-local nor an administrator's own.
bool owns_address(const Scope& scope, bool on_our_link, const Address& address);
// Inside our networks. `permanent`: NUD_PERMANENT, so neither learned nor being resolved.
bool owns_neighbour(const Scope& scope, bool on_our_link, bool permanent,
                    const Neighbour& neighbour);
// Not the all-zero default entry, whose remote is a multicast group.
bool owns_fdb_entry(bool on_our_link, bool permanent, const FdbEntry& entry);
// Our protocol number and an id in our range.
bool owns_nexthop(const Scope& scope, std::uint8_t protocol, const Nexthop& nexthop);
// A route to inside our networks by way of a gateway, as the Go reference's host-gw and
// DirectRouting make it. `ip route add` makes the same, so it takes an operator's word to call it
// ours; where we want a route of its key, ours replaces it, as the reference's would.
bool is_left_by_reference(const Scope& scope, const Route& route);
// Whether a route gives way to one of ours of the same key, that is, to exactly a peer's subnet:
// ours does, and as with the Go reference, what `ip route` makes (proto boot) and what
// administrators configure (proto static), of whatever kind. None of the kernel's, of router
// advertisements, of DHCP or of a routing daemon does.
bool gives_way(std::uint8_t protocol);
// Unicast: our protocol number, and inside our networks or on our link; or on our link, inside our
// networks and not of the kernel or a daemon, which takes in what the Go reference left there
// (proto boot); or left by the reference, with adopt_stale. Blackholes: our protocol number, and
// inside our networks; or that of this node's subnet, where the reference made it (proto boot).
bool owns_route(const Scope& scope, bool on_our_link, const Route& route);

}  // namespace flannel

// Network devices.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <variant>

#include "base/ip.h"
#include "base/mac.h"
#include "kernel/kind.h"

namespace flannel {

// `type vxlan`.
struct Vxlan {
  std::uint32_t vni = 0;
  IpAddr local;            // source address of tunnel packets
  Dev lower;               // device they leave by
  std::uint16_t port = 0;  // UDP port, host order
  bool gbp = false;
  bool learning = false;
  // What no device of ours has: where to send what the FDB does not know, and asking for it.
  bool group = false;
  bool l2miss = false;
  bool operator==(const Vxlan&) const = default;

  // A difference in `learning` alone: the kernel cannot change the others
  // (drivers/net/vxlan/vxlan_core.c, vxlan_changelink), or could, but only since recent versions.
  bool changes_in_place(Vxlan have) const;
  std::string text() const;
};

// A device we would make of a kind we do not know: somebody else took the name.
struct OtherKind {
  std::string kind;
  bool operator==(const OtherKind&) const = default;

  bool changes_in_place(const OtherKind& have) const { return *this == have; }
  std::string text() const { return kind; }
};

struct Link {
  struct Key {
    Dev name;
    auto operator<=>(const Key&) const = default;
  } key;
  std::variant<Vxlan, OtherKind> kind;
  Mac mac;
  std::uint32_t mtu = 0;  // bytes
  bool up = true;
  std::string alias;  // ifalias: says whose it is
  // A bridge, bond or VRF that takes what it receives; none of our devices has one.
  Dev master;
  bool operator==(const Link&) const = default;

  static constexpr bool kOfNode = true;
  // With a link go the objects on it, with one that goes down its routes, with another MAC its
  // neighbours.
  static constexpr DumpAfter kDumpAfter{.added = true, .changed = true, .removed = true};
  // Of one kind, by its rules; and not where it is another network's, since what lies on it is not
  // known in full.
  bool changes_in_place(const Link& have) const;
  Reference provides() const { return {key.name}; }
  std::string text() const;
};

// Whether its alias says that a daemon of a network made it, ours or another.
bool belongs_to_a_network(const Link& link);

}  // namespace flannel

// A backend decides how packets reach the other nodes; it never acts.
//
// plan() is a pure function from values to a value: the same inputs give the same state, and it is
// tested without a kernel. The reconciler does the rest.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/mac.h"
#include "base/result.h"
#include "kernel/kernel.h"
#include "kernel/net_state.h"
#include "network/lease.h"
#include "network/network_config.h"
#include "network/peers.h"

namespace flannel {

// How this node reaches the others' public addresses; those that were not asked for are missing.
using Paths = std::map<IpAddr, Path>;

// The interface that carries traffic between nodes, and the addresses we are reached at.
struct ExternalInterface {
  Dev name;
  std::uint32_t mtu = 0;
  // The interface's own addresses.
  std::optional<IpAddr> v4, v6;
  // What peers send to: --public-ip and --public-ipv6, else the interface's own.
  std::optional<IpAddr> public_v4, public_v6;

  // Those of a family that is enabled are there: choose_interface() sees to it. Without one, as
  // where it was chosen for another network, these throw std::bad_optional_access.
  const IpAddr& address(Family f) const { return (f == Family::v4 ? v4 : v6).value(); }
  const IpAddr& public_address(Family f) const {
    return (f == Family::v4 ? public_v4 : public_v6).value();
  }
  bool operator==(const ExternalInterface&) const = default;
};

// Whether routes to peers lead through nexthop objects (--route-nexthops), which are worth it where
// there are many; `ip route flush dev DEVICE` and the Go flannel, for two, do better without.
struct NexthopChoice {
  enum class Mode { automatic, on, off } mode = Mode::automatic;
  // Automatic: from so many peers on, and no more where there are less than `until`.
  std::size_t from = 1'000;
  std::size_t until = 500;

  // With so many peers; between the two numbers what is there stays.
  bool use(std::size_t peers, const NetState& have) const {
    const bool many = peers >= (have.of<Nexthop>().empty() ? from : until);
    return mode == Mode::on || (mode == Mode::automatic && many);
  }
  bool operator==(const NexthopChoice&) const = default;
};

// What the kernel offers for routes (Snapshot).
struct NexthopUse {
  bool enabled = true;               // the kernel has them and NexthopChoice is for them
  std::vector<std::uint32_t> taken;  // ids that belong to somebody else, sorted
  bool operator==(const NexthopUse&) const = default;
};

// The peers of a plan.
using PeerList = std::span<const Lease* const>;

// Everything a plan depends on beside the peers.
struct Node {
  const NetworkConfig& network;
  const ExternalInterface& external;
  const Lease& own;
  const Scope& scope;
  const Paths& paths;
  NexthopUse nexthops;
};

struct Plan {
  NetState state;
  std::vector<Refused> skipped;  // peers that cannot be used with this backend, by name
  // Nexthop ids of peers that have a plain route, since several would have the same, or somebody
  // else has it. Sorted.
  std::vector<std::uint32_t> unusable_ids;
};

// What an announcement follows from beside the configuration and the interface.
struct AnnounceInputs {
  // Of ours, as the kernel has them: one that can stay keeps its MAC.
  const Table<Link>& devices;
  // What the other nodes knew of us before, where a store remembers it; else nullptr. A new device
  // gets its MAC from there.
  const LeaseAttrs* published = nullptr;
  std::string_view prepared = {};  // the engine's answer
};

// What a backend is, whatever it plans.
struct Traits {
  std::vector<Dev> links;    // the devices that plan() would make
  bool makes_routes = true;  // false where somebody else leads packets to peers
  bool uses_paths = false;   // plan() looks at Node::paths
  // Options that only plan() and mtu() follow from, so that a backend with others can take this
  // one's place while nodes run.
  std::vector<std::string_view> live_options = {};
};

class Engine;

class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string type() const = 0;

  virtual Traits traits(const NetworkConfig& network) const = 0;

  // The MTU for pods, which goes to subnet.env. Error: this interface cannot be used, and why.
  virtual Result<std::uint32_t> mtu(const NetworkConfig& network,
                                    const ExternalInterface& external) const = 0;

  // What an operator should know of an interface that can be used all the same.
  virtual std::vector<std::string> warnings(const ExternalInterface&) const { return {}; }

  // The MAC of the device behind a node's tunnel, which only one node can have; nothing where
  // there is none, or the lease does not say.
  virtual std::optional<Mac> vtep_mac(const Lease&, Family) const { return std::nullopt; }

  // What other nodes must know to reach us.
  virtual LeaseAttrs announce(const NetworkConfig& network, const ExternalInterface& external,
                              const AnnounceInputs& inputs) const = 0;

  // Additive: the plan of two groups of peers is that of the one and that of the other together,
  // but where they share a nexthop id or, being one node's, a MAC.
  virtual Plan plan(const Node& node, PeerList peers) const = 0;

  // What it runs beside that (engine.h); nullptr where that is nothing.
  virtual std::unique_ptr<Engine> engine() const;

 protected:
  // Error: the peer's backend is another.
  Result<void> check_type(const Lease& peer) const;
};

// What an operator should know of a configuration that can be used all the same: fields that are
// ignored, a missing Backend.
std::vector<std::string> warnings(const NetworkConfig& network);

// A row of the list of backends (backends.h).
struct BackendEntry {
  std::string_view type;
  Result<std::unique_ptr<Backend>> (*make)(const NetworkConfig&);
  std::span<const std::string_view> options = {};
};

// The backend that `network` names, its options checked. Errors name the option and the value,
// or the type: `unknown backend type: nope (known: …)`.
Result<std::unique_ptr<Backend>> make_backend(const NetworkConfig& network);

}  // namespace flannel

// Scenarios: leases in, the plan out, in the text form of `flannelctl plan`.
//
//   config JSON              the network configuration
//   host DEV MTU ADDRESS…    the external interface, with an address of each family
//   address DEV PREFIX       what else the host has, host bits kept
//   gateway ADDRESS          of a default route
//   path ADDRESS DEV [VIA | noarp]   the way to another node, for backends that route directly
//   nexthops off | auto FROM UNTIL   --route-nexthops; `on` where nothing is said
//   own KEY                  our lease; its attributes are what the backend announces
//   peer KEY JSON            another node's lease, as in the store
//   junk KEY REASON          an entry the store could not read
//   have all                 the kernel has what the lines so far lead to; peers start anew
//   have route DST via GW dev DEV   the kernel has this as well, `proto boot`
//   have recorded NAME       the kernel is as test/recorded/NAME.hex has it
//   adopt-stale              --adopt-stale is given
//   options FLAG…            what the node does with its own pods' traffic; nothing otherwise
//   plan                     what follows is expected: ops, then `refused` and `skipped` peers,
//                            then routes that may have been left by the Go flannel and stay
//
// Lines that begin with # say what the scenario shows.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "backend/scope.h"
#include "daemon/options.h"
#include "network/peers.h"

namespace flannel {

struct Scenario {
  NetworkConfig network;
  std::unique_ptr<Backend> backend;
  ExternalInterface external;
  Lease own;
  HostUse host;
  Paths paths;
  NexthopChoice nexthops{.mode = NexthopChoice::Mode::on};
  LeaseUpdate update;
  NetState have;
  Table<Route> leftovers;
  bool adopt_stale = false;
  std::optional<Options> options;
  std::string expected;

  Scope scope() const {
    Scope scope = make_scope(network, *backend);
    scope.adopt_stale = adopt_stale;
    return scope;
  }
  // The plan and the peers that are refused.
  std::pair<Plan, std::vector<Refused>> plan() const;
};

// Reads test/scenarios/NAME.txt; throws std::runtime_error that names the line.
Scenario read_scenario(const std::string& name);
std::string scenario_path(const std::string& name);
// The names of all, sorted.
std::vector<std::string> all_scenarios();

}  // namespace flannel

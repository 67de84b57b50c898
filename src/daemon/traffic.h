// What a node does with its own pods' packets beside routing them to peers: rules of the firewall,
// and a route for addresses of its subnet that no pod has.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/task.h"
#include "daemon/options.h"
#include "firewall/plan.h"
#include "kernel/net_state.h"
#include "network/lease.h"
#include "network/network_config.h"

namespace flannel {

// The networks of `config` and the node's subnets; none of a family that has no network.
std::vector<FirewallNetwork> firewall_networks(const NetworkConfig& config, const LeaseKey& own);

// Where pods' packets go with their own address: what the configuration and the options say. The
// error names the value, and why not.
Result<std::vector<Prefix>> masq_excluded(const NetworkConfig& config, const Options& options);

struct TrafficOptions {
  FirewallOptions firewall;
  bool blackhole_route =
      false;  // to this node's own subnet, behind all others (--ip-blackhole-route)
};
// By the configuration and the daemon's options. Whether the host can choose ports fully at random
// is not asked.
TrafficOptions traffic_options(const NetworkConfig& config, const Options& options,
                               std::vector<Prefix> masq_excluded);

// Whether the host's iptables takes --random-fully. True where it cannot be told, so that the
// reason is told of the rules themselves.
Task<bool> host_takes_random_fully(Family family);

// Adds what `options` lead to, with rules by the names that end in `suffix`.
void plan_traffic(const NetworkConfig& config, const LeaseKey& own, const TrafficOptions& options,
                  std::string_view suffix, NetState& state);

// What becomes of packets while these rules are missing, in one sentence.
std::string consequence_without(const Ruleset& rules);

}  // namespace flannel

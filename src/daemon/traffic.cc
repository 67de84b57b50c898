#include "daemon/traffic.h"

#include <linux/rtnetlink.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "firewall/iptables_program.h"
#include "firewall/random_fully.h"
#include "process/run_program.h"

namespace flannel {
namespace {

// After every other route to the subnet: the bridge's to its pods has the metric 0.
constexpr std::uint32_t kLastMetric = UINT32_MAX;

Route blackhole(const Prefix& subnet) {
  Route route;
  route.key = {subnet.masked(), kLastMetric};
  route.type = RTN_BLACKHOLE;
  if (subnet.family() == Family::v6) {
    route.dev = "lo";  // the kernel's choice
  }
  return route;
}

}  // namespace

std::vector<FirewallNetwork> firewall_networks(const NetworkConfig& config, const LeaseKey& own) {
  std::vector<FirewallNetwork> networks;
  for (const Family family : kFamilies) {
    const std::optional<FamilyConfig>& part = config.family(family);
    const std::optional<Prefix>& subnet = own.family(family);
    if (part && part->network.length != 0 && subnet) {
      networks.push_back({part->network, *subnet});
    }
  }
  return networks;
}

Result<std::vector<Prefix>> masq_excluded(const NetworkConfig& config, const Options& options) {
  std::vector<FirewallNetwork> networks;
  for (const Family family : kFamilies) {
    const std::optional<FamilyConfig>& part = config.family(family);
    if (part && part->network.length != 0) {
      networks.push_back({part->network, {}});
    }
  }
  std::vector<std::string> values = config.masq_exclude;
  values.insert(values.end(), options.ip_masq_exclude.begin(), options.ip_masq_exclude.end());
  Result<std::vector<Prefix>> excluded = parse_excluded(values, networks);
  if (!excluded) {
    return fail("IPMasqExclude, --ip-masq-exclude: {}", excluded.error().text);
  }
  return excluded;
}

TrafficOptions traffic_options(const NetworkConfig& config, const Options& options,
                               std::vector<Prefix> masq_excluded) {
  return {{.tool = config.nftables ? FirewallTool::nftables : FirewallTool::iptables,
           .masquerade = options.ip_masq,
           .random_fully = !options.ip_masq_fully_random_disable,
           .forward_rules = options.iptables_forward_rules,
           .excluded = std::move(masq_excluded)},
          options.ip_blackhole_route};
}

Task<bool> host_takes_random_fully(Family family) {
  try {
    const ProcessOutput output = co_await run_program(iptables_version_command(family));
    co_return iptables_takes_random_fully(output.out);
  } catch (const ProcessError&) {  // which the rules themselves will name
    co_return true;
  }
}

void plan_traffic(const NetworkConfig& config, const LeaseKey& own, const TrafficOptions& options,
                  std::string_view suffix, NetState& state) {
  const std::vector<FirewallNetwork> networks = firewall_networks(config, own);
  state.of<Ruleset>() = plan_firewall(networks, options.firewall, suffix);
  for (const FirewallNetwork& each : networks) {
    if (options.blackhole_route) {
      state.of<Route>().put(blackhole(each.subnet));
    }
  }
}

std::string consequence_without(const Ruleset& rules) {
  const bool masquerade = std::ranges::any_of(rules.lines, [](const std::string& line) {
    return line.contains("masquerade") || line.contains("MASQUERADE");
  });
  return fmt::format("{}: {}", to_text(rules.key.family),
                     masquerade ? "what pods send out of the overlay is not masqueraded"
                                : "forwarded packets of pods go by the rules of others alone");
}

}  // namespace flannel

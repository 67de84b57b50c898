#include "network/host_use.h"

#include <algorithm>

namespace flannel {
namespace {

// More would say nothing new.
constexpr std::size_t kMostWarnings = 8;

Prefix single(const IpAddr& ip) {
  return {ip, static_cast<std::uint8_t>(ip.bits())};
}

bool is_single(const Prefix& prefix) {
  return prefix.length == prefix.ip.bits();
}

void add_address(const HostUse::Address& address, const Prefix& network,
                 std::vector<OccupiedRange>& ranges) {
  const Prefix link = address.prefix.masked();
  if (is_single(link) || link.contains(network)) {
    if (network.contains(address.prefix.ip)) {
      ranges.push_back({single(address.prefix.ip), "an address of " + address.dev});
    }
  } else if (network.contains(link)) {
    ranges.push_back({link, "the network of " + address.dev});
  }
}

// In order, the widest of those that contain each other; prefixes overlap in no other way.
void keep_the_widest(std::vector<OccupiedRange>& ranges) {
  std::ranges::stable_sort(ranges, {}, &OccupiedRange::range);
  std::vector<OccupiedRange> kept;
  for (OccupiedRange& range : ranges) {
    if (kept.empty() || !kept.back().range.contains(range.range)) {
      kept.push_back(std::move(range));
    }
  }
  ranges = std::move(kept);
}

}  // namespace

std::vector<OccupiedRange> occupied_ranges(const HostUse& host, const NetworkConfig& network,
                                           const LeaseKey& own) {
  std::vector<OccupiedRange> ranges;
  const auto is_our_own = [&](const Prefix& prefix) {
    const std::optional<Prefix>& subnet = own.family(prefix.family());
    return subnet && subnet->contains(prefix);
  };
  for (const HostUse::Address& address : host.addresses) {
    const std::optional<FamilyConfig>& config = network.family(address.prefix.family());
    if (config && !is_our_own(address.prefix)) {
      add_address(address, config->network, ranges);
    }
  }
  for (const IpAddr& gateway : host.gateways) {
    const std::optional<FamilyConfig>& config = network.family(gateway.family());
    if (config && config->network.contains(gateway) && !is_our_own(single(gateway))) {
      ranges.push_back({single(gateway), "the default gateway"});
    }
  }
  keep_the_widest(ranges);
  return ranges;
}

std::optional<std::string> conflict(const Prefix& subnet,
                                    const std::vector<OccupiedRange>& ranges) {
  // They are disjoint: only the neighbours in order can overlap it.
  auto at = std::ranges::upper_bound(ranges, subnet, {}, &OccupiedRange::range);
  if (at != ranges.begin() && std::prev(at)->range.overlaps(subnet)) {
    --at;
  } else if (at == ranges.end() || !at->range.overlaps(subnet)) {
    return std::nullopt;
  }
  return is_single(at->range) ? fmt::format("holds {}, {}", at->range.ip.to_text(), at->use)
                              : fmt::format("overlaps {}, {}", at->range.to_text(), at->use);
}

std::vector<std::string> overlay_warnings(const HostUse& host, const NetworkConfig& network,
                                          const LeaseKey& own) {
  std::vector<std::string> warnings;
  for (const std::string& dev : host.ignore_advertisements) {
    warnings.push_back(
        fmt::format("{0} forwards IPv6 and so ignores router advertisements: the default route and "
                    "addresses it has from them expire; `sysctl net.ipv6.conf.{0}.accept_ra=2` "
                    "keeps them",
                    dev));
  }
  const std::vector<OccupiedRange> ranges = occupied_ranges(host, network, own);
  for (const Family family : kFamilies) {
    const std::optional<Prefix>& subnet = own.family(family);
    const std::optional<std::string> found = subnet ? conflict(*subnet, ranges) : std::nullopt;
    if (found) {
      warnings.push_back(fmt::format("our own subnet {} {}", subnet->to_text(), *found));
    }
  }
  for (const OccupiedRange& range : ranges) {
    if (warnings.size() >= kMostWarnings) {
      warnings.push_back(fmt::format("{} such ranges of the host in all", ranges.size()));
      break;
    }
    const Family family = range.range.family();
    warnings.push_back(fmt::format(
        "{} {} contains {}, {}: no node's subnet may lie there", network_field(family),
        network.family(family)->network.to_text(),
        is_single(range.range) ? range.range.ip.to_text() : range.range.to_text(), range.use));
  }
  return warnings;
}

}  // namespace flannel

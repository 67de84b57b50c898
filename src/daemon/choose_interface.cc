#include "daemon/choose_interface.h"

#include <fmt/ranges.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>

#include "base/nearest.h"

namespace flannel {
namespace {

// Where nothing says how packets leave.
constexpr std::uint32_t kEthernetMtu = 1500;

// Lower is better. Loopback and deprecated addresses, and those that another node has as well, are
// not usable at all; one that may still turn out to be such comes last.
std::optional<int> rank(const HostAddress& address) {
  const IpAddr& ip = address.prefix.ip;
  const bool link_local = ip.is_link_local();
  if (address.deprecated || address.duplicate || !(link_local || ip.is_global_unicast())) {
    return std::nullopt;
  }
  return (address.tentative ? 8 : 0) + (link_local ? 4 : 0) + (address.permanent ? 0 : 2) +
         (address.temporary ? 1 : 0);
}

bool is_usable(const HostAddress& address, Family family) {
  return address.prefix.family() == family && rank(address);
}

// Ready before tentative, then global before link-local, then configured before dynamic, then
// lasting before temporary, then the kernel's order.
std::optional<IpAddr> best_address(const HostInterface& interface, Family family) {
  std::optional<IpAddr> best;
  int best_rank = 0;
  for (const HostAddress& address : interface.addresses) {
    const std::optional<int> found = rank(address);
    if (address.prefix.family() == family && found && (!best || *found < best_rank)) {
      best = address.prefix.ip;
      best_rank = *found;
    }
  }
  return best;
}

// A host on which the addresses in use are their interface's first, and lasting, and that
// interface's default routes before those of others: an address that comes beside them, as a
// floating one does, or a default route, as that of a VPN or a second uplink, is no reason to move.
HostView in_use_first(HostView host, const ExternalInterface* in_use) {
  if (in_use == nullptr) {
    return host;
  }
  std::ranges::stable_partition(
      host.default_routes, [&](const DefaultRoute& route) { return route.dev == in_use->name; });
  for (HostInterface& interface : host.interfaces) {
    if (interface.name != in_use->name) {
      continue;
    }
    const auto others = std::stable_partition(
        interface.addresses.begin(), interface.addresses.end(), [&](const HostAddress& address) {
          return address.prefix.ip == in_use->v4 || address.prefix.ip == in_use->v6;
        });
    for (auto address = interface.addresses.begin(); address != others; ++address) {
      address->permanent = true;
      address->temporary = false;
      address->tentative = false;  // as it is for a moment wherever its link comes up again
    }
  }
  return host;
}

const HostInterface* find_name(const HostView& host, const Dev& name) {
  const auto at = std::find_if(host.interfaces.begin(), host.interfaces.end(),
                               [&](const HostInterface& i) { return i.name == name; });
  return at == host.interfaces.end() ? nullptr : &*at;
}

const HostInterface* find_address(const HostView& host, const IpAddr& ip) {
  for (const HostInterface& interface : host.interfaces) {
    for (const HostAddress& address : interface.addresses) {
      if (address.prefix.ip == ip) {
        return &interface;
      }
    }
  }
  return nullptr;
}

// The chosen interface, and the addresses of it that are already decided.
struct Found {
  const HostInterface* interface = nullptr;
  std::optional<IpAddr> v4, v6;
};

// The kernel lists the lowest metric first.
const DefaultRoute* default_route(const HostView& host, Family family) {
  const auto at = std::ranges::find(host.default_routes, family, &DefaultRoute::family);
  return at == host.default_routes.end() ? nullptr : &*at;
}

Result<Found> by_default_route(const NetworkConfig& network, const HostView& host) {
  Found found;
  for (const Family family : kFamilies) {
    if (!network.family(family)) {
      continue;
    }
    const DefaultRoute* route = default_route(host, family);
    if (route == nullptr) {
      return fail("failed to get default interface: unable to find default {}",
                  family == Family::v4 ? "route" : "v6 route");
    }
    const HostInterface* interface = find_name(host, route->dev);
    if (interface == nullptr) {
      return fail("the default route's interface {} does not exist", route->dev.text());
    }
    if (found.interface != nullptr && found.interface != interface) {
      return fail("the default routes of IPv4 and IPv6 leave by different interfaces, {} and {}",
                  found.interface->name.text(), interface->name.text());
    }
    found.interface = interface;
  }
  return found;
}

Result<Found> by_address(const IpAddr& ip, const InterfaceOptions& options,
                         const NetworkConfig& network, const HostView& host) {
  if (!network.family(ip.family())) {
    return fail("{} is an {} address, and EnableIPv{} is off", ip.to_text(), to_text(ip.family()),
                ip.is_v4() ? 4 : 6);
  }
  Found found;
  found.interface = find_address(host, ip);
  if (found.interface == nullptr) {
    return fail("no interface has the address {}", ip.to_text());
  }
  (ip.is_v4() ? found.v4 : found.v6) = ip;
  const Result<IpAddr> other = IpAddr::parse(ip.is_v4() ? options.public_ipv6 : options.public_ip);
  if (network.v4 && network.v6 && other) {
    const HostInterface* same = find_address(host, *other);
    if (same != nullptr && same != found.interface) {
      return fail("{} is on {} and {} on {}: both must be on one interface", ip.to_text(),
                  found.interface->name.text(), other->to_text(), same->name.text());
    }
  }
  return found;
}

Result<Found> by_name(const std::string& name, const InterfaceOptions& options,
                      const NetworkConfig& network, const HostView& host) {
  if (name.empty()) {
    return by_default_route(network, host);
  }
  if (const Result<IpAddr> ip = IpAddr::parse(name)) {
    return by_address(*ip, options, network, host);
  }
  Found found;
  found.interface = name.size() < 16 ? find_name(host, std::string_view(name)) : nullptr;
  if (found.interface == nullptr) {
    std::vector<std::string_view> known;
    for (const HostInterface& interface : host.interfaces) {
      known.push_back(interface.name.text());
    }
    const std::string_view meant = nearest(name, known);
    return fail("there is no interface {}{}", name,
                meant.empty() ? "" : fmt::format(" (did you mean {}?)", meant));
  }
  return found;
}

std::optional<IpAddr> matching_address(const HostInterface& interface, Family family,
                                       const RE2& regex) {
  for (const HostAddress& address : interface.addresses) {
    if (is_usable(address, family) && RE2::PartialMatch(address.prefix.ip.to_text(), regex)) {
      return address.prefix.ip;
    }
  }
  return std::nullopt;
}

// An interface with a matching address of each enabled family, which are then the ones to use;
// else one whose name matches.
Result<Found> by_regex(const std::string& expression, const NetworkConfig& network,
                       const HostView& host) {
  if (expression.empty()) {
    return by_default_route(network, host);
  }
  const RE2 regex(expression, RE2::Quiet);
  if (!regex.ok()) {
    return fail("--iface-regex {}: {}", expression, regex.error());
  }
  for (const HostInterface& interface : host.interfaces) {
    const Found found{&interface, matching_address(interface, Family::v4, regex),
                      matching_address(interface, Family::v6, regex)};
    if ((!network.v4 || found.v4) && (!network.v6 || found.v6)) {
      return Found{&interface, network.v4 ? found.v4 : std::nullopt,
                   network.v6 ? found.v6 : std::nullopt};
    }
  }
  for (const HostInterface& interface : host.interfaces) {
    if (RE2::PartialMatch(std::string(interface.name.text()), regex)) {
      return Found{&interface, {}, {}};
    }
  }
  return fail("no address and no name of an interface matches {}", expression);
}

Result<Found> by_path(const std::string& target, const NetworkConfig& network, const HostView& host,
                      const std::function<Path(const IpAddr&)>& path_to) {
  const Result<IpAddr> ip = IpAddr::parse(target);
  if (!ip) {
    return fail("--iface-can-reach {}: no address", target);
  }
  if (!network.family(ip->family())) {
    return fail("--iface-can-reach {}: EnableIPv{} is off", target, ip->is_v4() ? 4 : 6);
  }
  const Path path = path_to(*ip);
  Found found;
  found.interface = path.dev.empty() ? nullptr : find_name(host, path.dev);
  if (found.interface == nullptr) {
    return fail("there is no way to {}", target);
  }
  (ip->is_v4() ? found.v4 : found.v6) = path.source;
  return found;
}

// What packets between nodes must fit in. Those of an address on lo, as nodes that speak BGP have
// it, leave by other interfaces: mostly that of the default route.
std::uint32_t mtu_of(const HostInterface& interface, const NetworkConfig& network,
                     const HostView& host) {
  if (interface.name != "lo") {
    return interface.mtu;
  }
  std::uint32_t least = kEthernetMtu;
  bool known = false;
  for (const Family family : kFamilies) {
    const DefaultRoute* route = network.family(family) ? default_route(host, family) : nullptr;
    const HostInterface* out = route == nullptr ? nullptr : find_name(host, route->dev);
    if (out != nullptr && out->name != "lo") {
      least = known ? std::min(least, out->mtu) : out->mtu;
      known = true;
    }
  }
  return least;
}

// Where the default route by `interface` says that packets are sent from an address elsewhere, as
// nodes that speak BGP have it on lo.
std::string hint(const HostInterface& interface, Family family, const HostView& host) {
  for (const DefaultRoute& route : host.default_routes) {
    if (route.dev == interface.name && route.family == family && route.source) {
      const HostInterface* other = find_address(host, *route.source);
      return other == nullptr ? ""
                              : fmt::format(
                                    " (its default route sends from {}, which is on {}: "
                                    "--iface-can-reach=ADDRESS of another node takes that)",
                                    route.source->to_text(), other->name.text());
    }
  }
  return "";
}

Result<ExternalInterface> complete(const Found& found, const InterfaceOptions& options,
                                   const NetworkConfig& network, const HostView& host) {
  const HostInterface& interface = *found.interface;
  ExternalInterface out;
  out.name = interface.name;
  out.mtu = mtu_of(interface, network, host);
  out.v4 = found.v4;
  out.v6 = found.v6;
  if (out.mtu == 0) {
    return fail("interface {} has MTU 0", interface.name.text());
  }
  for (const Family family : kFamilies) {
    if (!network.family(family)) {
      continue;
    }
    std::optional<IpAddr>& own = family == Family::v4 ? out.v4 : out.v6;
    if (!own) {
      own = best_address(interface, family);
    }
    if (!own) {
      return fail("failed to find {} address for interface {}{}", to_text(family),
                  interface.name.text(), hint(interface, family, host));
    }
    const std::string& given = family == Family::v4 ? options.public_ip : options.public_ipv6;
    std::optional<IpAddr>& published = family == Family::v4 ? out.public_v4 : out.public_v6;
    published = own;
    if (!given.empty()) {
      const Result<IpAddr> ip = IpAddr::parse(given);
      if (!ip || ip->family() != family) {
        return fail("invalid public {} address: {}", to_text(family), given);
      }
      published = *ip;
    }
    if (!published->is_v4() && published->is_link_local()) {
      return fail("{} of interface {} is link-local: other nodes cannot send to it",
                  published->to_text(), interface.name.text());
    }
  }
  return out;
}

// `eth0:[198.18.0.2 fd99::2]`, one after the other. A busy node has hundreds, those of pods last:
// how many is not said, since the sentence is news in the log whenever it changes.
std::string listing(const HostView& host) {
  constexpr std::size_t kMostNamed = 10;
  std::vector<std::string> items;
  for (const HostInterface& interface : host.interfaces) {
    if (items.size() == kMostNamed) {
      items.emplace_back("…");
      break;
    }
    std::vector<std::string> addresses;
    for (const HostAddress& address : interface.addresses) {
      addresses.push_back(addresses.size() == kMostNamed ? "…" : address.prefix.ip.to_text());
      if (addresses.size() > kMostNamed) {
        break;
      }
    }
    items.push_back(fmt::format("{}:[{}]", interface.name.text(), fmt::join(addresses, " ")));
  }
  return fmt::format("{}", fmt::join(items, " "));
}

}  // namespace

Result<ExternalInterface> choose_interface(const InterfaceOptions& options,
                                           const NetworkConfig& network, const HostView& now,
                                           const std::function<Path(const IpAddr&)>& path_to,
                                           const ExternalInterface* in_use) {
  const HostView host = in_use_first(now, in_use);
  std::vector<Result<Found>> candidates;
  for (const std::string& name : options.names) {
    candidates.push_back(by_name(name, options, network, host));
  }
  for (const std::string& expression : options.regexes) {
    candidates.push_back(by_regex(expression, network, host));
  }
  if (!options.can_reach.empty()) {
    candidates.push_back(by_path(options.can_reach, network, host, path_to));
  }
  if (candidates.empty()) {
    const std::string& name = !options.public_ip.empty() ? options.public_ip : options.public_ipv6;
    candidates.push_back(by_name(name, options, network, host));
  }
  std::string reasons;
  for (const Result<Found>& found : candidates) {
    Result<ExternalInterface> chosen =
        found ? complete(*found, options, network, host) : std::unexpected(found.error());
    if (chosen) {
      return chosen;
    }
    reasons += (reasons.empty() ? "" : "; ") + chosen.error().text;
  }
  return fail("Failed to find any valid interface to use: {} (this host has {})", reasons,
              listing(host));
}

namespace {

bool learned_from_routers(const HostInterface& interface, const HostView& host) {
  return std::ranges::any_of(host.default_routes,
                             [&](const DefaultRoute& route) {
                               return route.dev == interface.name && route.advertised;
                             }) ||
         std::ranges::any_of(interface.addresses, [](const HostAddress& address) {
           return !address.prefix.ip.is_v4() && !address.permanent;
         });
}

}  // namespace

HostUse host_use(const HostView& host, const Scope& scope) {
  HostUse use;
  for (const HostInterface& interface : host.interfaces) {
    if (!interface.up || std::ranges::count(scope.links, interface.name) > 0) {
      continue;
    }
    for (const HostAddress& address : interface.addresses) {
      use.addresses.push_back({std::string(interface.name.text()), address.prefix});
    }
    if (interface.ignores_advertisements && learned_from_routers(interface, host)) {
      use.ignore_advertisements.emplace_back(interface.name.text());
    }
  }
  for (const DefaultRoute& route : host.default_routes) {
    use.gateways.insert(use.gateways.end(), route.gateways.begin(), route.gateways.end());
  }
  return use;
}

}  // namespace flannel

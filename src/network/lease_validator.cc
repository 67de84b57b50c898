#include "network/lease_validator.h"

#include <algorithm>

namespace flannel {
namespace {

// A link of two addresses has none (RFC 3021).
constexpr unsigned kNoBroadcast = 31;

// What no node has, or none that another node can send to: 0.0.0.0/8 is "this network" (RFC 1122),
// and an IPv6 link-local address means nothing without its link. Nodes may have IPv4 ones.
bool is_possible_node(const IpAddr& ip) {
  return (ip.is_global_unicast() || (ip.is_v4() && ip.is_link_local())) &&
         !(ip.is_v4() && ip.bytes()[0] == 0);
}

bool is_class_e(const IpAddr& ip) {
  return ip.is_v4() && ip.bytes()[0] >= 240;
}

// Whether an address lies in the range of subnets that nodes get.
bool hands_out(const FamilyConfig& config, const IpAddr& ip) {
  return config.network.contains(ip) && config.subnet_min <= ip &&
         Prefix{ip, static_cast<std::uint8_t>(config.subnet_length)}.masked().ip <=
             config.subnet_max;
}

}  // namespace

LeaseValidator::LeaseValidator(NetworkConfig network, Lease own)
    : network_(std::move(network)), own_(std::move(own)) {}

bool LeaseValidator::set_host(HostUse host) {
  // An address of lo that has no link around it is in nobody's way: the kernel looks it up before
  // any route, and the rest of the subnet is reached. But a peer's own it cannot be.
  std::vector<IpAddr> on_lo;
  std::erase_if(host.addresses, [&on_lo](const HostUse::Address& address) {
    const Prefix& prefix = address.prefix;
    const bool is_alone = address.dev == "lo" && prefix.length == prefix.ip.bits();
    if (is_alone) {
      on_lo.push_back(prefix.ip);
    }
    return is_alone;
  });
  if (host == host_ && on_lo == on_lo_) {
    return false;
  }
  host_ = std::move(host);
  on_lo_ = std::move(on_lo);
  update_host();
  return true;
}

bool LeaseValidator::set_own(Lease own) {
  const bool differs = own.key != own_.key || own.attrs != own_.attrs;
  own_ = std::move(own);
  if (differs) {
    update_host();
  }
  return differs;
}

// What follows from host_ and the own lease.
void LeaseValidator::update_host() {
  occupied_ = occupied_ranges(host_, network_, own_.key);
  local_addresses_.clear();
  for (const IpAddr& ip : on_lo_) {
    local_addresses_.emplace_back(ip, "an address of our own, on lo");
  }
  for (const HostUse::Address& address : host_.addresses) {
    const Prefix& prefix = address.prefix;
    local_addresses_.emplace_back(prefix.ip, "an address of our own, on " + address.dev);
    if (prefix.family() == Family::v4 && prefix.length < kNoBroadcast) {
      const Uint128 last = prefix.masked().ip.number() + prefix.size() - 1;
      local_addresses_.emplace_back(IpAddr::from_number(Family::v4, last),
                                    "the broadcast address of " + address.dev);
    }
  }
  std::ranges::sort(local_addresses_);
}

std::optional<std::string> LeaseValidator::check(const LeaseKey& key, const LeaseAttrs& attrs,
                                                 Family family) const {
  const Prefix& subnet = *key.family(family);
  const Prefix& network = network_.family(family)->network;
  if (!network.contains(subnet)) {
    return fmt::format("subnet {} lies outside {} {}", subnet.to_text(), network_field(family),
                       network.to_text());
  }
  if (own_.key.family(family) && own_.key.family(family)->overlaps(subnet)) {
    return fmt::format("subnet {} overlaps our own, {}", subnet.to_text(),
                       own_.key.family(family)->to_text());
  }
  if (const std::optional<std::string> found = conflict(subnet, occupied_)) {
    return fmt::format("subnet {} {}", subnet.to_text(), *found);
  }
  return check_address(key, attrs, family);
}

// The same of its public address.
std::optional<std::string> LeaseValidator::check_address(const LeaseKey& key,
                                                         const LeaseAttrs& attrs,
                                                         Family family) const {
  const std::optional<IpAddr>& address = attrs.public_address(family);
  if (!address) {
    return fmt::format("no public {} address", to_text(family));
  }
  const auto refuse = [&](std::string_view why) {
    return fmt::format("public address {} {}", address->to_text(), why);
  };
  const std::optional<IpAddr>& own = own_.attrs.public_address(family);
  if (address == own) {
    return refuse("is our own");
  }
  if (!is_possible_node(*address)) {
    return refuse("is none that a node can have");
  }
  // Some clouds number their nodes there.
  if (is_class_e(*address) && !(own && is_class_e(*own))) {
    return refuse("is reserved (RFC 1112), and our own is not of its kind");
  }
  const auto local = std::ranges::lower_bound(local_addresses_, *address, {},
                                              &std::pair<IpAddr, std::string>::first);
  if (local != local_addresses_.end() && local->first == *address) {
    return refuse("is " + local->second);
  }
  if (key.family(family)->contains(*address)) {
    return refuse("lies in its own subnet");
  }
  if (own_.key.family(family) && own_.key.family(family)->contains(*address)) {
    return refuse("lies in our own subnet");
  }
  const FamilyConfig& config = *network_.family(family);
  const auto on_link = [&](const HostUse::Address& here) { return here.prefix.contains(*address); };
  if (hands_out(config, *address) && !(own && config.network.contains(*own)) &&
      std::ranges::none_of(host_.addresses, on_link)) {
    return refuse(fmt::format("lies in {} {}, where subnets are, and our own does not",
                              network_field(family), config.network.to_text()));
  }
  return std::nullopt;
}

}  // namespace flannel

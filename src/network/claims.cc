#include "network/claims.h"

#include <algorithm>

#include "base/result.h"

namespace flannel {

const Prefix* Claims::Granted::overlapping(const Prefix& prefix) const {
  // None overlap each other, so that only the neighbours in order can.
  const bool last = subnets.empty() || *subnets.rbegin() < prefix;
  const auto after = last ? subnets.end() : subnets.lower_bound(prefix);
  if (after != subnets.end() && after->overlaps(prefix)) {
    return &*after;
  }
  return after != subnets.begin() && std::prev(after)->overlaps(prefix) ? &*std::prev(after)
                                                                        : nullptr;
}

void Claims::take_own_mac(Family family, const std::optional<Mac>& mac) {
  if (mac) {
    granted(family).macs.emplace(mac->number(), Owner{});
  }
}

// One node may have two leases; the FDB entry is the same for both.
std::optional<std::string> Claims::Granted::mac_conflict(const Claim& claim) const {
  const auto [first, last] = macs.equal_range(claim.mac->number());
  const Owner* other = nullptr;
  for (auto owner = first; owner != last; ++owner) {
    const bool is_same_node = owner->second.public_address == claim.public_address;
    if (!owner->second.subnet) {
      return fmt::format("VtepMAC {} is our own", claim.mac->to_text());
    }
    if (!is_same_node && (other == nullptr || owner->second.subnet < other->subnet)) {
      other = &owner->second;
    }
  }
  return other == nullptr
             ? std::nullopt
             : std::optional(fmt::format("VtepMAC {} is that of {}, which another node has",
                                         claim.mac->to_text(), other->subnet->to_text()));
}

std::optional<std::string> Claims::take(const Claim& claim) {
  Granted& granted = this->granted(claim.subnet.family());
  if (const Prefix* other = granted.overlapping(claim.subnet)) {
    return fmt::format("subnet {} overlaps {}, which another node has", claim.subnet.to_text(),
                       other->to_text());
  }
  const Prefix address{claim.public_address,
                       static_cast<std::uint8_t>(claim.public_address.bits())};
  if (const Prefix* other = claim.address_in_network ? granted.overlapping(address) : nullptr) {
    return fmt::format("public address {} lies in {}, the subnet of another node",
                       claim.public_address.to_text(), other->to_text());
  }
  const auto inside = granted.addresses_in_network.lower_bound(claim.subnet.ip);
  if (inside != granted.addresses_in_network.end() && claim.subnet.contains(*inside)) {
    return fmt::format("subnet {} holds {}, the public address of another node",
                       claim.subnet.to_text(), inside->to_text());
  }
  if (claim.mac) {
    if (std::optional<std::string> conflict = granted.mac_conflict(claim)) {
      return conflict;
    }
    granted.macs.emplace(claim.mac->number(), Owner{claim.subnet, claim.public_address});
  }
  granted.subnets.insert(granted.subnets.end(), claim.subnet);
  if (claim.address_in_network) {
    granted.addresses_in_network.insert(claim.public_address);
  }
  return std::nullopt;
}

void Claims::release(const Claim& claim) {
  Granted& granted = this->granted(claim.subnet.family());
  granted.subnets.erase(claim.subnet);
  if (claim.address_in_network) {
    granted.addresses_in_network.extract(claim.public_address);
  }
  if (claim.mac) {
    const auto [first, last] = granted.macs.equal_range(claim.mac->number());
    granted.macs.erase(std::find_if(
        first, last, [&](const auto& owner) { return owner.second.subnet == claim.subnet; }));
  }
}

bool Claims::shares_mac(const Claim& claim) const {
  const Granted& granted = granted_[claim.subnet.family() == Family::v4 ? 0 : 1];
  return claim.mac && granted.macs.count(claim.mac->number()) > 1;
}

}  // namespace flannel

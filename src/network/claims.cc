#include "network/claims.h"

#include <algorithm>
#include <bit>

#include "base/result.h"

namespace flannel {

const Prefix* Claims::Ranges::overlapping(const Prefix& prefix) const {
  // None overlap each other, so that only the neighbours in order can.
  const auto among = [&](const auto& ranges, auto after) -> const Prefix* {
    if (after != ranges.end() && after->overlaps(prefix)) {
      return &*after;
    }
    return after != ranges.begin() && std::prev(after)->overlaps(prefix) ? &*std::prev(after)
                                                                         : nullptr;
  };
  const bool last = in_order_.empty() || in_order_.back() < prefix;
  const Prefix* found =
      among(in_order_, last ? in_order_.end() : std::ranges::lower_bound(in_order_, prefix));
  return found != nullptr ? found : among(late_, late_.lower_bound(prefix));
}

void Claims::Ranges::add(const Prefix& prefix) {
  if (in_order_.empty() || in_order_.back() < prefix) {
    in_order_.push_back(prefix);
  } else {
    late_.insert(prefix);
  }
}

Claims::MacOwners::MacOwners(std::size_t most) : slots_(std::bit_ceil(2 * most + 2)) {}

Claims::MacOwners::Owner& Claims::MacOwners::slot(const Mac& mac) {
  const std::uint64_t number = mac.number() + 1;
  const std::uint64_t mask = slots_.size() - 1;
  std::uint64_t at = (number * 0x9e3779b97f4a7c15) >> 32 & mask;  // Fibonacci hashing
  while (slots_[at].mac != 0 && slots_[at].mac != number) {
    at = (at + 1) & mask;
  }
  return slots_[at];
}

Claims::Claims(std::size_t most) : most_(most) {}

Claims::MacOwners& Claims::macs(Granted& granted) {
  return granted.macs ? *granted.macs : granted.macs.emplace(most_);
}

void Claims::take_own_mac(Family family, const std::optional<Mac>& mac) {
  if (mac) {
    macs(granted(family)).slot(*mac) = {mac->number() + 1, std::nullopt, {}};
  }
}

std::optional<std::string> Claims::take(const Claim& claim) {
  Granted& granted = this->granted(claim.subnet.family());
  if (const Prefix* other = granted.subnets.overlapping(claim.subnet)) {
    return fmt::format("subnet {} overlaps {}, which another node has", claim.subnet.to_text(),
                       other->to_text());
  }
  const Prefix address{claim.public_address,
                       static_cast<std::uint8_t>(claim.public_address.bits())};
  if (const Prefix* other =
          claim.address_in_network ? granted.subnets.overlapping(address) : nullptr) {
    return fmt::format("public address {} lies in {}, the subnet of another node",
                       claim.public_address.to_text(), other->to_text());
  }
  const auto inside = granted.addresses_in_network.lower_bound(claim.subnet.ip);
  if (inside != granted.addresses_in_network.end() && claim.subnet.contains(*inside)) {
    return fmt::format("subnet {} holds {}, the public address of another node",
                       claim.subnet.to_text(), inside->to_text());
  }
  if (claim.mac) {
    MacOwners::Owner& owner = macs(granted).slot(*claim.mac);
    // One node may have two leases; the FDB entry is the same for both.
    if (owner.mac != 0 && !owner.subnet) {
      return fmt::format("VtepMAC {} is our own", claim.mac->to_text());
    }
    if (owner.mac != 0 && owner.public_address != claim.public_address) {
      return fmt::format("VtepMAC {} is that of {}, which another node has", claim.mac->to_text(),
                         owner.subnet->to_text());
    }
    owner = {claim.mac->number() + 1, claim.subnet, claim.public_address};
  }
  granted.subnets.add(claim.subnet);
  if (claim.address_in_network) {
    granted.addresses_in_network.insert(claim.public_address);
  }
  return std::nullopt;
}

}  // namespace flannel

#include "network/subnet_picker.h"

#include <algorithm>
#include <random>

namespace flannel {
namespace {

// Subnets are counted from SubnetMin in steps of one subnet: 0 … count - 1.
struct Slots {
  Uint128 first;  // number of the first subnet's address
  Uint128 step;
  Uint128 count;
};

Slots slots_of(const FamilyConfig& config) {
  const Uint128 step = static_cast<Uint128>(1) << (config.network.ip.bits() - config.subnet_length);
  const Uint128 first = config.subnet_min.number();
  const Uint128 last = config.subnet_max.number();
  return {first, step, (last - first) / step + 1};
}

bool fits(const FamilyConfig& config, const Prefix& subnet) {
  return subnet.length == config.subnet_length && config.subnet_min <= subnet.ip &&
         subnet.ip <= config.subnet_max && subnet.masked() == subnet;
}

// The enabled families' parts are there and fit, and there is no part of another.
bool fits(const NetworkConfig& network, const LeaseKey& key) {
  return std::all_of(std::begin(kFamilies), std::end(kFamilies), [&](Family family) {
    const std::optional<FamilyConfig>& config = network.family(family);
    const std::optional<Prefix>& subnet = key.family(family);
    return config ? subnet && fits(*config, *subnet) : !subnet;
  });
}

// Ranges of slots that are taken, in order, without overlaps.
struct Range {
  Uint128 begin, end;
};

std::vector<Range> taken_slots(const Slots& slots, std::span<const Prefix> taken) {
  std::vector<Range> ranges;
  for (const Prefix& prefix : taken) {
    const Uint128 from = prefix.masked().ip.number();
    const Uint128 to = from + (prefix.size() - 1);
    const Uint128 end = slots.first + slots.count * slots.step;
    if (to < slots.first || from >= end) {
      continue;
    }
    const Uint128 begin_slot = from < slots.first ? 0 : (from - slots.first) / slots.step;
    const Uint128 end_slot = std::min(slots.count, (to - slots.first) / slots.step + 1);
    ranges.push_back({begin_slot, end_slot});
  }
  std::sort(ranges.begin(), ranges.end(),
            [](const Range& a, const Range& b) { return a.begin < b.begin; });
  std::vector<Range> merged;
  for (const Range& range : ranges) {
    if (!merged.empty() && range.begin <= merged.back().end) {
      merged.back().end = std::max(merged.back().end, range.end);
    } else {
      merged.push_back(range);
    }
  }
  return merged;
}

Result<Prefix> pick_free(const FamilyConfig& config, std::span<const Prefix> not_free,
                         const RandomBelow& random) {
  const Slots slots = slots_of(config);
  const std::vector<Range> taken = taken_slots(slots, not_free);
  Uint128 free = slots.count;
  for (const Range& range : taken) {
    free -= range.end - range.begin;
  }
  if (free == 0) {
    return fail("out of subnets");
  }
  // The chosen one among the free, then moved behind each taken range before it.
  Uint128 slot = random(free);
  for (const Range& range : taken) {
    if (slot < range.begin) {
      break;
    }
    slot += range.end - range.begin;
  }
  return Prefix{IpAddr::from_number(config.network.family(), slots.first + slot * slots.step),
                static_cast<std::uint8_t>(config.subnet_length)};
}

// What of a family the leases hold, and the host.
std::vector<Prefix> not_free(std::span<const Lease> leases, std::span<const Prefix> avoid,
                             Family family) {
  std::vector<Prefix> out;
  for (const Lease& lease : leases) {
    if (const std::optional<Prefix>& subnet = lease.key.family(family)) {
      out.push_back(*subnet);
    }
  }
  std::ranges::copy_if(avoid, std::back_inserter(out),
                       [family](const Prefix& prefix) { return prefix.family() == family; });
  return out;
}

// A link around exactly what could be a subnet of ours is most likely the bridge of the containers
// that we had when it was: after an outage that cost the lease its node takes it again.
std::vector<Prefix> without_former_bridges(std::vector<Prefix> avoid, const FamilyConfig& config) {
  std::erase_if(avoid, [&config](const Prefix& prefix) {
    return prefix.length == config.subnet_length && config.network.contains(prefix);
  });
  return avoid;
}

// With IPv4 its public address decides, as in the reference; otherwise the IPv6 one.
bool is_own(const AcquireRequest& request, const Lease& lease) {
  const Family family = request.network.v4 ? Family::v4 : Family::v6;
  const std::optional<IpAddr>& address = request.attrs.public_address(family);
  return address && lease.attrs.public_address(family) == address;
}

bool is_free(const LeaseKey& key, std::span<const Lease> leases) {
  return std::none_of(leases.begin(), leases.end(), [&](const Lease& lease) {
    return std::any_of(std::begin(kFamilies), std::end(kFamilies), [&](Family family) {
      return key.family(family) && lease.key.family(family) &&
             key.family(family)->overlaps(*lease.key.family(family));
    });
  });
}

}  // namespace

RandomBelow random_below() {
  return [engine = std::mt19937_64(std::random_device{}())](Uint128 bound) mutable {
    if (bound <= UINT64_MAX) {
      return static_cast<Uint128>(std::uniform_int_distribution<std::uint64_t>(
          0, static_cast<std::uint64_t>(bound) - 1)(engine));
    }
    // More subnets than a 64-bit number counts: the bias of a remainder is past noticing.
    return (static_cast<Uint128>(engine()) << 64 | engine()) % bound;
  };
}

Result<Choice> choose_subnet(const AcquireRequest& request, std::span<const Lease> leases,
                             const RandomBelow& random) {
  Choice choice;
  std::vector<Lease> others;
  for (const Lease& lease : leases) {
    if (!is_own(request, lease)) {
      others.push_back(lease);
    } else if (!choice.reuse && fits(request.network, lease.key)) {
      choice.key = lease.key;
      choice.reuse = true;
      choice.permanent = !lease.expiry;
    } else {
      choice.discard.push_back(lease.key);
    }
  }
  if (choice.reuse) {
    return choice;
  }
  if (fits(request.network, request.previous) && is_free(request.previous, others)) {
    choice.key = request.previous;
    return choice;
  }
  for (const Family family : kFamilies) {
    if (const std::optional<FamilyConfig>& config = request.network.family(family)) {
      Result<Prefix> subnet = pick_free(*config, not_free(others, request.avoid, family), random);
      if (!subnet) {
        subnet = pick_free(*config,
                           not_free(others, without_former_bridges(request.avoid, *config), family),
                           random);
      }
      if (!subnet) {
        return std::unexpected(subnet.error());
      }
      (family == Family::v4 ? choice.key.v4 : choice.key.v6) = *subnet;
    }
  }
  return choice;
}

}  // namespace flannel

#include "network/departures.h"

#include <algorithm>
#include <set>

namespace flannel {
namespace {

// Leases by their nodes' addresses.
class ByAddress {
 public:
  explicit ByAddress(std::span<const Lease> leases) {
    for (const Lease& lease : leases) {
      for (const Family family : kFamilies) {
        if (const std::optional<IpAddr>& address = lease.attrs.public_address(family)) {
          keys_.emplace(*address, lease.key);
        }
      }
    }
  }
  // Whether the node of `old` has one of its subnets under another key: one whose IPv6 was turned
  // on or off, say.
  bool has_successor(const Lease& old) const {
    return std::ranges::any_of(kFamilies, [&](Family family) {
      const std::optional<IpAddr>& address = old.attrs.public_address(family);
      if (!address) {
        return false;
      }
      const auto [first, last] = keys_.equal_range(*address);
      return std::any_of(first, last,
                         [&](const auto& entry) { return share_subnet(entry.second, old.key); });
    });
  }

 private:
  static bool share_subnet(const LeaseKey& a, const LeaseKey& b) {
    return std::ranges::any_of(kFamilies, [&](Family family) {
      return a.family(family) && a.family(family) == b.family(family);
    });
  }

  std::multimap<IpAddr, LeaseKey> keys_;
};

}  // namespace

LeaseUpdate Departures::filter(LeaseUpdate update, const Peers& known, Clock::time_point now) {
  for (const Lease& lease : update.leases) {
    held_.erase(lease.key);
  }
  for (const LeaseKey& key : update.unreadable) {
    held_.erase(key);
  }
  if (update.snapshot) {
    filter_list(update, known, now);
  } else {
    filter_events(update, now);
  }
  return update;
}

void Departures::filter_events(LeaseUpdate& update, Clock::time_point now) {
  std::erase_if(update.removed, [&](const LeaseKey& key) {
    if (key == own_) {
      return false;
    }
    held_.insert_or_assign(key, Hold{now + timing_.grace, Reason::left});
    return true;
  });
  if (held_.empty() || update.leases.empty()) {
    return;
  }
  for (const LeaseKey& key : replaced_by(update.leases)) {
    held_.erase(key);
    update.removed.push_back(key);
  }
}

void Departures::filter_list(LeaseUpdate& update, const Peers& known, Clock::time_point now) {
  const std::set<LeaseKey> unreadable(update.unreadable.begin(), update.unreadable.end());
  const ByAddress listed(update.leases);
  std::map<LeaseKey, Hold> held;
  for (Lease& lease : known.missing_from(update.leases)) {
    if (unreadable.contains(lease.key)) {
      update.leases.push_back(std::move(lease));
      continue;
    }
    const auto before = held_.find(lease.key);
    const Hold hold = before != held_.end() ? before->second
                                            : Hold{now + timing_.unconfirmed, Reason::unconfirmed};
    if (now < hold.until && !listed.has_successor(lease)) {
      held.emplace(lease.key, hold);
      update.leases.push_back(std::move(lease));
    }
  }
  held_ = std::move(held);
}

std::vector<LeaseKey> Departures::replaced_by(std::span<const Lease> newcomers) const {
  std::map<Prefix, LeaseKey> holders;
  for (const auto& [key, hold] : held_) {
    for (const Family family : kFamilies) {
      if (key.family(family)) {
        holders.emplace(*key.family(family), key);
      }
    }
  }
  std::set<LeaseKey> replaced;
  for (const Lease& lease : newcomers) {
    for (const Family family : kFamilies) {
      const std::optional<Prefix>& subnet = lease.key.family(family);
      const auto holder = subnet ? holders.find(*subnet) : holders.end();
      if (holder != holders.end()) {
        replaced.insert(holder->second);
      }
    }
  }
  return {replaced.begin(), replaced.end()};
}

LeaseUpdate Departures::due(Clock::time_point now) {
  LeaseUpdate update;
  std::erase_if(held_, [&](const auto& entry) {
    const auto& [key, hold] = entry;
    const bool is_due = hold.reason == Reason::left && hold.until <= now;
    if (is_due) {
      update.removed.push_back(key);
    }
    return is_due;
  });
  return update;
}

Departures::Clock::time_point Departures::earliest(Reason reason) const {
  Clock::time_point time = Clock::time_point::max();
  for (const auto& [key, hold] : held_) {
    time = hold.reason == reason ? std::min(time, hold.until) : time;
  }
  return time;
}

std::size_t Departures::unconfirmed() const {
  return static_cast<std::size_t>(std::ranges::count_if(
      held_, [](const auto& entry) { return entry.second.reason == Reason::unconfirmed; }));
}

}  // namespace flannel

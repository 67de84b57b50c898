#include "network/peers.h"

#include <algorithm>
#include <array>
#include <set>

namespace flannel {
namespace {

std::string_view network_field(Family family) {
  return family == Family::v4 ? "Network" : "IPv6Network";
}

std::optional<Prefix>& part(LeaseKey& key, Family family) {
  return family == Family::v4 ? key.v4 : key.v6;
}

std::string_view last_component(std::string_view key) {
  return key.substr(key.rfind('/') + 1);
}

}  // namespace

// The ranges in use, to find one that overlaps in logarithmic time: none overlap each other, so
// only the neighbours in order can.
class Peers::Ranges {
 public:
  // The range that overlaps `prefix`, if any.
  const Prefix* overlapping(const Prefix& prefix) const {
    const std::vector<Prefix>& taken = taken_[index(prefix)];
    const auto after = taken.begin() + place(taken, prefix);
    if (after != taken.end() && after->overlaps(prefix)) {
      return &*after;
    }
    if (after != taken.begin() && std::prev(after)->overlaps(prefix)) {
      return &*std::prev(after);
    }
    return nullptr;
  }
  void add(const Prefix& prefix) {
    std::vector<Prefix>& taken = taken_[index(prefix)];
    taken.insert(taken.begin() + place(taken, prefix), prefix);
  }

 private:
  static std::size_t index(const Prefix& prefix) { return prefix.ip.is_v4() ? 0 : 1; }
  // Where it belongs; most come in order.
  static std::ptrdiff_t place(const std::vector<Prefix>& taken, const Prefix& prefix) {
    const bool last = taken.empty() || taken.back() < prefix;
    return (last ? taken.end() : std::lower_bound(taken.begin(), taken.end(), prefix)) -
           taken.begin();
  }

  std::array<std::vector<Prefix>, 2> taken_;  // a family each
};

Peers::Peers(NetworkConfig network, Lease own)
    : network_(std::move(network)), own_(std::move(own)) {}

void Peers::set_own(Lease own) {
  const bool other_key = own.key != own_.key || own.attrs.public_ip != own_.attrs.public_ip ||
                         own.attrs.public_ipv6 != own_.attrs.public_ipv6;
  own_ = std::move(own);
  if (other_key) {
    judge();
  }
}

const Lease* Peers::own_entry() const {
  const auto found = std::ranges::lower_bound(all_, own_.key, {}, &Entry::key);
  return found != all_.end() && found->key() == own_.key ? &found->lease : nullptr;
}

std::vector<Lease> Peers::missing_from(std::span<const Lease> leases) const {
  std::set<LeaseKey> listed;
  for (const Lease& lease : leases) {
    listed.insert(lease.key);
  }
  std::vector<Lease> missing;
  for (const Entry& entry : all_) {
    if (entry.key() != own_.key && !listed.contains(entry.key())) {
      missing.push_back(entry.lease);
    }
  }
  return missing;
}

bool Peers::apply(const LeaseUpdate& update) {
  bool changed = merge(update.leases, update.snapshot);
  if (update.snapshot) {
    changed = changed || !bad_.empty();
    bad_.clear();
  }
  for (const Lease& lease : bad_.empty() ? std::span<const Lease>() : update.leases) {
    changed = bad_.erase(to_text(lease.key)) > 0 || changed;
  }
  std::vector<LeaseKey> removed = update.removed;
  std::ranges::sort(removed);
  const auto is_removed = [&](const Entry& entry) {
    return std::ranges::binary_search(removed, entry.key());
  };
  changed = (!removed.empty() && std::erase_if(all_, is_removed) > 0) || changed;
  for (const LeaseKey& key : bad_.empty() ? std::vector<LeaseKey>() : removed) {
    changed = bad_.erase(to_text(key)) > 0 || changed;
  }
  for (const BadEntry& entry : update.bad) {
    const std::string name(last_component(entry.key));
    std::string& reason = bad_[name];
    changed = changed || reason != entry.reason;
    reason = entry.reason;
    // What the entry said before is not true any more, but nor is it removed: nothing is, on doubt.
  }
  if (changed) {
    judge();
  }
  return changed;
}

// Takes leases in, of several with one key the last; where they are `all`, the others go. True
// where anything changed but an expiry, at which nobody here looks.
bool Peers::merge(std::span<const Lease> leases, bool all) {
  bool changed = false;
  std::vector<bool> listed(all ? all_.size() : 0);
  std::map<LeaseKey, const Lease*> added;
  for (const Lease& lease : leases) {
    const auto known = std::ranges::lower_bound(all_, lease.key, {}, &Entry::key);
    if (known == all_.end() || known->key() != lease.key) {
      added[lease.key] = &lease;
      continue;
    }
    const bool differs = known->lease.attrs != lease.attrs;
    changed = changed || differs;
    known->is_new = known->is_new || differs;
    known->lease = lease;
    if (all) {
      listed[static_cast<std::size_t>(known - all_.begin())] = true;
    }
  }
  if (all) {
    std::size_t at = 0;
    changed = std::erase_if(all_, [&](const Entry&) { return !listed[at++]; }) > 0 || changed;
  }
  if (all) {
    all_.reserve(all_.size() + added.size());  // the most there is for a while
  }
  const auto before = static_cast<std::ptrdiff_t>(all_.size());
  for (const auto& [key, lease] : added) {
    all_.push_back({*lease});
  }
  std::ranges::inplace_merge(all_, all_.begin() + before, {}, &Entry::key);
  return changed || !added.empty();
}

// Why a part of a lease cannot be used; nothing where it can.
std::optional<std::string> Peers::objection(const Lease& lease, Family family) const {
  const Prefix& subnet = *lease.key.family(family);
  const Prefix& network = network_.family(family)->network;
  const std::optional<IpAddr>& address = lease.attrs.public_address(family);
  if (!network.contains(subnet)) {
    return fmt::format("subnet {} lies outside {} {}", subnet.to_text(), network_field(family),
                       network.to_text());
  }
  if (own_.key.family(family) && own_.key.family(family)->overlaps(subnet)) {
    return fmt::format("subnet {} overlaps our own, {}", subnet.to_text(),
                       own_.key.family(family)->to_text());
  }
  if (!address) {
    return fmt::format("no public {} address", to_text(family));
  }
  if (address == own_.attrs.public_address(family)) {
    return fmt::format("public address {} is our own", address->to_text());
  }
  return std::nullopt;
}

// The key without the parts that cannot be used, for which `reasons` says why; the others' ranges
// are added to `taken`. A node that lacks one family is reached by the other.
LeaseKey Peers::usable_part(const Lease& lease, Ranges& taken, std::string& reasons) const {
  LeaseKey usable = lease.key;
  for (const Family family : kFamilies) {
    std::optional<Prefix>& subnet = part(usable, family);
    if (subnet && !network_.family(family)) {
      subnet.reset();
    }
    if (!subnet) {
      continue;
    }
    std::optional<std::string> objection = this->objection(lease, family);
    if (const Prefix* other = objection ? nullptr : taken.overlapping(*subnet)) {
      objection = fmt::format("subnet {} overlaps {}, which another node has", subnet->to_text(),
                              other->to_text());
    }
    if (objection) {
      reasons += (reasons.empty() ? "" : "; ") + *objection;
      subnet.reset();
    } else {
      taken.add(*subnet);
    }
  }
  if (usable == LeaseKey{} && reasons.empty()) {
    reasons = "no subnet of an enabled family";
  }
  return usable;
}

void Peers::judge() {
  std::map<std::string, std::string> reasons(bad_);
  Ranges taken;
  std::vector<Used> used;
  used.reserve(all_.size());
  const auto judge_one = [&](Entry& entry) {
    std::string refusal;
    const LeaseKey key = usable_part(entry.lease, taken, refusal);
    entry.in_use = key != LeaseKey{};
    if (entry.in_use) {
      used.push_back({key, &entry});
    }
    if (!refusal.empty()) {
      reasons[to_text(entry.lease.key)] = std::move(refusal);
    }
  };
  // Those in use keep their place against newcomers that overlap them.
  std::vector<Entry*> newcomers;
  for (Entry& entry : all_) {
    if (entry.key() == own_.key) {
      continue;
    }
    if (entry.in_use) {
      judge_one(entry);
    } else {
      newcomers.push_back(&entry);
    }
  }
  std::ranges::for_each(newcomers, [&](Entry* entry) { judge_one(*entry); });
  if (!std::ranges::is_sorted(used, {}, &Used::key)) {
    std::ranges::sort(used, {}, &Used::key);
  }
  replace_usable(used);
  refused_.clear();
  for (auto& [name, reason] : reasons) {
    refused_.push_back({name, std::move(reason)});
  }
}

// Most are as they were: those are moved, which copies no text.
void Peers::replace_usable(std::span<const Used> used) {
  std::vector<Lease> usable;
  usable.reserve(used.size());
  auto old = usable_.begin();
  for (const auto& [key, entry] : used) {
    while (old != usable_.end() && old->key < key) {
      ++old;
    }
    if (!entry->is_new && old != usable_.end() && old->key == key) {
      usable.push_back(std::move(*old++));
    } else {
      usable.push_back(entry->lease);
      usable.back().key = key;
    }
    entry->is_new = false;
  }
  usable_ = std::move(usable);
}

}  // namespace flannel

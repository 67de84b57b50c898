#include "network/peers.h"

#include <algorithm>
#include <set>

namespace flannel {
namespace {

constexpr Family kFamilies[] = {Family::v4, Family::v6};

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
    const auto after = taken_.lower_bound(prefix);
    if (after != taken_.end() && after->overlaps(prefix)) {
      return &*after;
    }
    if (after != taken_.begin() && std::prev(after)->overlaps(prefix)) {
      return &*std::prev(after);
    }
    return nullptr;
  }
  void add(const Prefix& prefix) { taken_.insert(taken_.end(), prefix); }  // most come in order

 private:
  std::set<Prefix> taken_;
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
  const auto found = all_.find(own_.key);
  return found == all_.end() ? nullptr : &found->second.lease;
}

std::vector<Lease> Peers::missing_from(std::span<const Lease> leases) const {
  std::set<LeaseKey> listed;
  for (const Lease& lease : leases) {
    listed.insert(lease.key);
  }
  std::vector<Lease> missing;
  for (const auto& [key, entry] : all_) {
    if (key != own_.key && !listed.contains(key)) {
      missing.push_back(entry.lease);
    }
  }
  return missing;
}

bool Peers::apply(const LeaseUpdate& update) {
  bool changed = false;
  if (update.snapshot) {
    std::map<LeaseKey, Entry> all;
    for (const Lease& lease : update.leases) {
      const auto known = all_.find(lease.key);
      all.insert_or_assign(lease.key, Entry{lease, known != all_.end() && known->second.in_use});
    }
    changed = all_.size() != all.size() ||
              !std::equal(all.begin(), all.end(), all_.begin(), [](const auto& a, const auto& b) {
                return a.first == b.first && a.second.lease.attrs == b.second.lease.attrs;
              });
    all_ = std::move(all);
    changed = changed || !bad_.empty();
    bad_.clear();
  }
  for (const Lease& lease : update.snapshot ? std::span<const Lease>() : update.leases) {
    const auto [entry, added] = all_.try_emplace(lease.key, Entry{lease});
    // A renewal changes nothing but the expiry, and nobody here looks at that.
    changed = changed || added || entry->second.lease.attrs != lease.attrs;
    entry->second.lease = lease;
    changed = bad_.erase(to_text(lease.key)) > 0 || changed;
  }
  for (const LeaseKey& key : update.removed) {
    changed = all_.erase(key) > 0 || changed;
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
    return fmt::format("no public {} address", family == Family::v4 ? "IPv4" : "IPv6");
  }
  if (address == own_.attrs.public_address(family)) {
    return fmt::format("public address {} is our own", address->to_text());
  }
  return std::nullopt;
}

// The lease without the parts that cannot be used, for which `reasons` says why; the others' ranges
// are added to `taken`. A node that lacks one family is reached by the other.
Lease Peers::usable_part(const Lease& lease, Ranges& taken, std::string& reasons) const {
  Lease usable = lease;
  for (const Family family : kFamilies) {
    std::optional<Prefix>& subnet = part(usable.key, family);
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
  if (usable.key == LeaseKey{} && reasons.empty()) {
    reasons = "no subnet of an enabled family";
  }
  return usable;
}

void Peers::judge() {
  std::map<std::string, std::string> reasons(bad_);
  Ranges taken;
  usable_.clear();
  // Those in use keep their place against newcomers that overlap them.
  for (const bool incumbents : {true, false}) {
    for (auto& [key, entry] : all_) {
      if (entry.in_use != incumbents || key == own_.key) {
        continue;
      }
      std::string refusal;
      Lease usable = usable_part(entry.lease, taken, refusal);
      entry.in_use = usable.key != LeaseKey{};
      if (entry.in_use) {
        usable_.push_back(std::move(usable));
      }
      if (!refusal.empty()) {
        reasons[to_text(key)] = std::move(refusal);
      }
    }
  }
  const auto by_key = [](const Lease& a, const Lease& b) { return a.key < b.key; };
  if (!std::is_sorted(usable_.begin(), usable_.end(), by_key)) {
    std::sort(usable_.begin(), usable_.end(), by_key);
  }
  refused_.clear();
  for (auto& [name, reason] : reasons) {
    refused_.push_back({name, std::move(reason)});
  }
}

}  // namespace flannel

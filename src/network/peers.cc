#include "network/peers.h"

#include <algorithm>

namespace flannel {
namespace {

std::optional<Prefix>& part(LeaseKey& key, Family family) {
  return family == Family::v4 ? key.v4 : key.v6;
}

}  // namespace

Peers::Peers(NetworkConfig network, Lease own, VtepMacOf vtep_mac)
    : validator_(std::move(network), std::move(own)), vtep_mac_(std::move(vtep_mac)) {
  evaluate_all();
}

bool Peers::set_host(HostUse host) {
  const bool differs = validator_.set_host(std::move(host));
  if (differs) {
    evaluate_all();
  }
  return differs;
}

void Peers::set_own(Lease own) {
  if (validator_.set_own(std::move(own))) {
    evaluate_all();
  }
}

std::vector<const Lease*> Peers::usable() const {
  std::vector<const Lease*> usable;
  usable.reserve(usable_count_);
  for (const auto& [key, entry] : all_) {
    if (entry.in_use()) {
      usable.push_back(&entry.lease);
    }
  }
  return usable;
}

const Lease* Peers::find_usable(const LeaseKey& key) const {
  const auto found = all_.find(key);
  return found != all_.end() && found->second.in_use() ? &found->second.lease : nullptr;
}

std::set<const Lease*> Peers::partly_usable() const {
  std::set<const Lease*> partly;
  for (const auto& [key, reason] : refusals_) {
    if (const Lease* usable = find_usable(key)) {
      partly.insert(usable);
    }
  }
  return partly;
}

std::vector<Lease> Peers::missing_from(std::span<const Lease> leases) const {
  std::set<LeaseKey> listed;
  for (const Lease& lease : leases) {
    listed.insert(lease.key);
  }
  std::vector<Lease> missing;
  for (const auto& [key, entry] : all_) {
    if (key != validator_.own().key && !listed.contains(key)) {
      missing.push_back({key, entry.lease.attrs, entry.lease.expiry});
    }
  }
  return missing;
}

PeersDelta Peers::apply(const LeaseUpdate& update) {
  PeersDelta delta;
  const bool bad_changed = bad_.apply(update);
  const News news = compare(update);
  const std::size_t count = news.leases.size() + news.gone.size();
  delta.any = bad_changed || count > 0;
  if (count > kFewChanges) {
    apply_all(news);
    delta.all = true;
  } else if (count > 0) {
    apply_few(news, delta);
  }
  if (bad_changed) {
    list_refused();
    delta.all = true;
  }
  return delta;
}

// What is not known yet; of several with one key the last. An expiry, at which nobody here looks,
// is no news.
Peers::News Peers::compare(const LeaseUpdate& update) {
  News news;
  std::set<LeaseKey> listed;
  for (const Lease& lease : update.leases) {
    const auto known = all_.find(lease.key);
    if (known == all_.end() || known->second.lease.attrs != lease.attrs) {
      news.leases[lease.key] = &lease;
    } else {
      known->second.lease.expiry = lease.expiry;
      news.leases.erase(lease.key);
    }
    if (update.snapshot) {
      listed.insert(listed.end(), lease.key);
    }
  }
  const auto remove = [&](const LeaseKey& key) {
    news.leases.erase(key);
    if (all_.contains(key)) {
      news.gone.insert(key);
    }
  };
  std::ranges::for_each(update.removed, remove);
  if (update.snapshot) {
    for (const auto& [key, entry] : all_) {
      if (!listed.contains(key)) {
        remove(key);
      }
    }
  }
  return news;
}

void Peers::set(Entry& entry, const Lease& lease) const {
  for (std::size_t i = 0; i < kFamilies.size() && vtep_mac_; ++i) {
    entry.macs[i] = vtep_mac_(lease, kFamilies[i]);
  }
  entry.was_in_use = entry.was_in_use || entry.in_use();
  entry.is_new = true;
  entry.lease = {{}, lease.attrs, lease.expiry};
}

void Peers::apply_all(const News& news) {
  for (const LeaseKey& key : news.gone) {
    all_.erase(key);
  }
  for (const auto& [key, lease] : news.leases) {
    set(all_[key], *lease);
  }
  evaluate_all();
}

// All others have what they had, unless somebody waits for what is given up here.
void Peers::apply_few(const News& news, PeersDelta& delta) {
  const bool was_contested = has_conflicts_;
  bool refusals_changed = false;
  for (const LeaseKey& key : news.gone) {
    const auto entry = all_.find(key);
    release(key, entry->second, delta);
    all_.erase(entry);
    refusals_changed = refusals_.erase(key) > 0 || refusals_changed;
  }
  std::vector<Entries::value_type*> order;
  for (const auto& [key, lease] : news.leases) {
    const auto entry = all_.try_emplace(key).first;
    release(key, entry->second, delta);
    set(entry->second, *lease);
    if (key != validator_.own().key) {
      order.push_back(&*entry);
    }
  }
  const bool gave_up = std::ranges::any_of(
      delta.changes, [](const PeersDelta::Change& change) { return change.was.has_value(); });
  if (was_contested && gave_up) {
    delta.all = true;
    evaluate_all();
    return;
  }
  std::ranges::stable_sort(order, {},
                           [this](const auto* item) { return rank(item->first, item->second); });
  for (auto* item : order) {
    refusals_changed = evaluate(item->first, item->second) || refusals_changed;
    delta.all = delta.all || shares_mac(item->second);
  }
  if (refusals_changed) {
    list_refused();
    delta.all = true;
  }
}

void Peers::release(const LeaseKey& key, Entry& entry, PeersDelta& delta) {
  PeersDelta::Change& change = delta.changes.emplace_back(key, std::nullopt);
  if (!entry.in_use()) {
    return;
  }
  delta.all = delta.all || shares_mac(entry);
  for (const Family family : kFamilies) {
    if (entry.lease.key.family(family)) {
      claims_.release(claim_of(entry, family));
    }
  }
  --usable_count_;
  entry.was_in_use = true;
  change.was = std::exchange(entry.lease, {});
}

// What a part in use claims.
Claim Peers::claim_of(const Entry& entry, Family family) const {
  const IpAddr& address = *entry.lease.attrs.public_address(family);
  return {*entry.lease.key.family(family), address, entry.macs[family == Family::v4 ? 0 : 1],
          validator_.network().family(family)->network.contains(address)};
}

bool Peers::shares_mac(const Entry& entry) const {
  return std::ranges::any_of(kFamilies, [&](Family family) {
    return entry.lease.key.family(family) && claims_.shares_mac(claim_of(entry, family));
  });
}

// Takes the part into use. Otherwise: why it cannot be used.
std::optional<std::string> Peers::claim(const LeaseKey& key, Entry& entry, Family family) {
  std::optional<std::string> refusal = validator_.check(key, entry.lease.attrs, family);
  if (refusal) {
    return refusal;
  }
  std::optional<Prefix>& used = part(entry.lease.key, family);
  used = key.family(family);
  refusal = claims_.take(claim_of(entry, family));
  if (refusal) {
    used.reset();
    has_conflicts_ = true;
  }
  return refusal;
}

// Takes into use what can be and is not yet; a node that lacks one family is reached by the other.
// True where anything is, or was, refused.
bool Peers::evaluate(const LeaseKey& key, Entry& entry) {
  std::string reasons;
  for (const Family family : kFamilies) {
    const bool wanted = key.family(family) && validator_.network().family(family);
    if (!wanted || entry.lease.key.family(family)) {
      continue;
    }
    if (const std::optional<std::string> refusal = claim(key, entry, family)) {
      reasons += (reasons.empty() ? "" : "; ") + *refusal;
    }
  }
  if (!entry.in_use() && reasons.empty()) {
    reasons = "no subnet of an enabled family";
  }
  usable_count_ += entry.in_use() ? 1 : 0;
  entry.is_new = false;
  entry.was_in_use = false;
  if (reasons.empty()) {
    return refusals_.erase(key) > 0;
  }
  refusals_[key] = std::move(reasons);
  return true;
}

// First those that are used as they are, then those in use that say something new, then newcomers:
// leases as the configuration has them before others, and the longer before the shorter, so that
// one that is wrong does not take the place of many that are right.
unsigned Peers::rank(const LeaseKey& key, const Entry& entry) const {
  if (entry.in_use() && !entry.is_new) {
    return 0;
  }
  if (entry.was_in_use) {
    return 1;
  }
  unsigned rank = 2;
  for (const Family family : kFamilies) {
    const std::optional<Prefix>& subnet = key.family(family);
    const std::optional<FamilyConfig>& config = validator_.network().family(family);
    if (subnet && config && subnet->length != config->subnet_length) {
      rank = std::max(rank, 3 + subnet->ip.bits() - subnet->length);
    }
  }
  return rank;
}

void Peers::evaluate_all() {
  const Lease& own = validator_.own();
  claims_ = {};
  has_conflicts_ = false;
  usable_count_ = 0;
  refusals_.clear();
  for (const Family family : kFamilies) {
    claims_.take_own_mac(family, vtep_mac_ ? vtep_mac_(own, family) : std::nullopt);
  }
  std::vector<Entries::value_type*> order;
  order.reserve(all_.size());
  for (auto& item : all_) {
    if (item.first == own.key) {
      item.second.lease.key = {};
    } else {
      order.push_back(&item);
    }
  }
  std::ranges::stable_sort(order, {},
                           [this](const auto* item) { return rank(item->first, item->second); });
  // What is used as it is stays so before anybody gets more.
  for (auto* item : order) {
    Entry& entry = item->second;
    const LeaseKey used = std::exchange(entry.lease.key, {});
    for (const Family family : kFamilies) {
      if (used.family(family) && !entry.is_new) {
        claim(item->first, entry, family);
      }
    }
  }
  for (auto* item : order) {
    evaluate(item->first, item->second);
  }
  list_refused();
}

std::size_t Peers::refused_count() const {
  return bad_.unnamed() == 0 ? refused_.size() : refused_.size() - 1 + bad_.unnamed();
}

void Peers::list_refused() {
  std::map<std::string, std::string> reasons(bad_.reasons());
  if (std::string others = bad_.others(); !others.empty()) {
    reasons["…"] = std::move(others);
  }
  for (const auto& [key, reason] : refusals_) {
    reasons[to_text(key)] = reason;
  }
  refused_.clear();
  for (auto& [name, reason] : reasons) {
    refused_.push_back({name, std::move(reason)});
  }
}

}  // namespace flannel

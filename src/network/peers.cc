#include "network/peers.h"

#include <algorithm>
#include <set>

namespace flannel {
namespace {

// A link of two addresses has none (RFC 3021).
constexpr unsigned kNoBroadcast = 31;

std::string_view network_field(Family family) {
  return family == Family::v4 ? "Network" : "IPv6Network";
}

std::optional<Prefix>& part(LeaseKey& key, Family family) {
  return family == Family::v4 ? key.v4 : key.v6;
}

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

Peers::Peers(NetworkConfig network, Lease own, VtepMacOf vtep_mac)
    : network_(std::move(network)), own_(std::move(own)), vtep_mac_(std::move(vtep_mac)) {}

bool Peers::set_host(HostUse host) {
  // An address of lo that has no link around it is in nobody's way: the kernel looks it up before
  // any route, and the rest of the subnet is reached.
  std::erase_if(host.addresses, [](const HostUse::Address& address) {
    return address.dev == "lo" && address.prefix.length == address.prefix.ip.bits();
  });
  if (host == host_) {
    return false;
  }
  host_ = std::move(host);
  look_at_host();
  judge();
  return true;
}

// What follows from host_ and the own lease.
void Peers::look_at_host() {
  occupied_ = occupied_ranges(host_, network_, own_.key);
  local_addresses_.clear();
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

void Peers::set_own(Lease own) {
  const bool differs = own.key != own_.key || own.attrs != own_.attrs;
  own_ = std::move(own);
  if (differs) {
    look_at_host();
    judge();
  }
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
  std::vector<LeaseKey> removed = update.removed;
  std::ranges::sort(removed);
  const auto is_removed = [&](const Entry& entry) {
    return std::ranges::binary_search(removed, entry.key());
  };
  changed = take_bad(update) || changed;
  changed = (!removed.empty() && std::erase_if(all_, is_removed) > 0) || changed;
  if (changed) {
    judge();
  }
  return changed;
}

// True where anything changed. What a bad entry said before is not true any more, but nor is it
// removed: nothing is, on doubt.
bool Peers::take_bad(const LeaseUpdate& update) {
  bool changed = false;
  if (update.snapshot) {
    changed = !bad_.empty() || more_bad_ != update.more_bad;
    bad_.clear();
    more_bad_ = 0;
  }
  for (const Lease& lease : bad_.empty() ? std::span<const Lease>() : update.leases) {
    changed = bad_.erase(to_text(lease.key)) > 0 || changed;
  }
  const bool any = !bad_.empty() || more_bad_ > 0;
  for (const LeaseKey& key :
       any ? std::span<const LeaseKey>(update.removed) : std::span<const LeaseKey>()) {
    const bool is_peer = std::ranges::binary_search(all_, key, {}, &Entry::key);
    changed = (is_peer ? bad_.erase(to_text(key)) > 0 : forget_bad(to_text(key))) || changed;
  }
  for (const std::string& key : update.bad_removed) {
    changed = forget_bad(key) || changed;
  }
  for (const BadEntry& entry : update.bad) {
    const std::string& name = entry.key;
    const auto known = bad_.find(name);
    if (known == bad_.end() && bad_.size() >= kMostBadEntries) {
      ++more_bad_;
      changed = true;
    } else if (known == bad_.end() || known->second != entry.reason) {
      bad_[name] = entry.reason;
      changed = true;
    }
  }
  more_bad_ += update.more_bad;
  return changed || update.more_bad > 0;
}

// One that is not known is taken for one of those of which nothing is.
bool Peers::forget_bad(const std::string& name) {
  if (bad_.erase(name) > 0) {
    return true;
  }
  const bool counted = more_bad_ > 0;
  more_bad_ -= counted ? 1 : 0;
  return counted;
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
    if (differs) {
      const bool in_use = known->in_use;
      *known = make_entry(lease);
      known->in_use = in_use;
    } else {
      known->lease.expiry = lease.expiry;
    }
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
    all_.push_back(make_entry(*lease));
  }
  std::ranges::inplace_merge(all_, all_.begin() + before, {}, &Entry::key);
  return changed || !added.empty();
}

Peers::Entry Peers::make_entry(Lease lease) const {
  Entry entry;
  for (std::size_t i = 0; i < kFamilies.size() && vtep_mac_; ++i) {
    entry.macs[i] = vtep_mac_(lease, kFamilies[i]);
  }
  entry.lease = std::move(lease);
  return entry;
}

// Why a part of a lease cannot be used, whatever other leases there are; nothing where it can.
std::optional<std::string> Peers::objection(const Lease& lease, Family family) const {
  const Prefix& subnet = *lease.key.family(family);
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
  return address_objection(lease, family);
}

// The same of its public address.
std::optional<std::string> Peers::address_objection(const Lease& lease, Family family) const {
  const std::optional<IpAddr>& address = lease.attrs.public_address(family);
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
  if (lease.key.family(family)->contains(*address)) {
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

// The key without the parts that cannot be used, for which `reasons` says why; the others are
// claimed. A node that lacks one family is reached by the other.
LeaseKey Peers::usable_part(const Entry& entry, Claims& claims, std::string& reasons) const {
  LeaseKey usable = entry.lease.key;
  for (std::size_t i = 0; i < kFamilies.size(); ++i) {
    const Family family = kFamilies[i];
    std::optional<Prefix>& subnet = part(usable, family);
    if (subnet && !network_.family(family)) {
      subnet.reset();
    }
    if (!subnet) {
      continue;
    }
    std::optional<std::string> objection = this->objection(entry.lease, family);
    if (!objection) {
      const IpAddr& address = *entry.lease.attrs.public_address(family);
      objection = claims.take(
          {*subnet, address, entry.macs[i], network_.family(family)->network.contains(address)});
    }
    if (objection) {
      reasons += (reasons.empty() ? "" : "; ") + *objection;
      subnet.reset();
    }
  }
  if (usable == LeaseKey{} && reasons.empty()) {
    reasons = "no subnet of an enabled family";
  }
  return usable;
}

// First those that are used as they are, then those in use that say something new, then newcomers:
// leases as the configuration has them before others, and the longer before the shorter, so that
// one that is wrong does not take the place of many that are right.
std::vector<Peers::Entry*> Peers::in_order_of_claims() {
  std::vector<Entry*> order;
  order.reserve(all_.size());
  const auto rank = [&](const Entry* entry) {
    if (entry->in_use) {
      return entry->is_new ? 1U : 0U;
    }
    unsigned rank = 2;
    for (const Family family : kFamilies) {
      const std::optional<Prefix>& subnet = entry->key().family(family);
      const std::optional<FamilyConfig>& config = network_.family(family);
      if (subnet && config && subnet->length != config->subnet_length) {
        rank = std::max(rank, 3 + subnet->ip.bits() - subnet->length);
      }
    }
    return rank;
  };
  for (Entry& entry : all_) {
    if (entry.key() != own_.key) {
      order.push_back(&entry);
    }
  }
  std::ranges::stable_sort(order, {}, rank);
  return order;
}

void Peers::judge() {
  std::map<std::string, std::string> reasons(bad_);
  if (more_bad_ > 0) {
    reasons["…"] = fmt::format("about {} more entries cannot be read", more_bad_);
  }
  Claims claims(all_.size() + 1);
  for (std::size_t i = 0; i < kFamilies.size() && vtep_mac_; ++i) {
    claims.take_own_mac(kFamilies[i], vtep_mac_(own_, kFamilies[i]));
  }
  std::vector<Used> used;
  used.reserve(all_.size());
  for (Entry* entry : in_order_of_claims()) {
    std::string refusal;
    const LeaseKey key = usable_part(*entry, claims, refusal);
    entry->in_use = key != LeaseKey{};
    if (entry->in_use) {
      used.push_back({key, entry});
    }
    if (!refusal.empty()) {
      reasons[to_text(entry->lease.key)] = std::move(refusal);
    }
  }
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

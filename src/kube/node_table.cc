#include "kube/node_table.h"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/hash.h"
#include "base/printable.h"
#include "kube/node_annotations.h"

namespace flannel {
namespace {

// Its name in LeaseUpdate, which no subnet has.
std::string entry_name(const std::string& name) {
  return fmt::format("Node \"{}\"", printable(name));
}

std::uint64_t digest(const Annotations& annotations) {
  std::uint64_t sum = 0;
  for (const auto& [name, value] : annotations) {
    sum += annotation_digest(name, value);
  }
  return sum;
}

// Why there are no subnets; empty where there are some.
std::string take_subnets(const NodeObject& object, std::optional<LeaseKey>& subnets) {
  Result<LeaseKey> found = subnets_of(object);
  subnets.reset();
  if (!found) {
    return found.error().text;
  }
  if (*found == LeaseKey{}) {
    return "no podCIDR is assigned to it";
  }
  subnets = *found;
  return "";
}

// When a Node that is new is asked for.
std::chrono::milliseconds ask_after(const std::string& own_name, const std::string& uid) {
  const std::chrono::milliseconds spread = kAskLatest - kAskSoonest;
  return kAskSoonest + std::chrono::milliseconds(stable_hash(own_name + uid) %
                                                 static_cast<std::uint64_t>(spread.count()));
}

// How long a Node is not to be asked for again.
NodeTable::Clock::duration longer(NodeTable::Clock::duration wait) {
  return std::clamp<NodeTable::Clock::duration>(2 * wait, kAskAgainFirst, kAskAgainMost);
}

}  // namespace

void NodeTable::clear(std::string own_name) {
  own_name_ = std::move(own_name);
  holders_.clear();
  waiting_.clear();
  nodes_.clear();
  bad_.clear();
  unknown_.clear();
  changed_.clear();
  bad_changed_.clear();
}

void NodeTable::put(const NodeObject& object, const Seen& seen) {
  if (object.name.empty() || object.name == own_name_) {
    return;
  }
  auto known = nodes_.find(object.name);
  Node node{.uid = stable_hash(object.uid), .annotations = digest(object.annotations)};
  const bool same_uid = known != nodes_.end() && known->second.uid == node.uid;
  std::string fault;
  if (object.whole) {
    fault = take_subnets(object, node.subnets);
  } else if (same_uid) {
    node.subnets = known->second.subnets;
  }
  const bool is_peer = is_managed(object.annotations);
  const bool is_unknown =
      !object.whole && !node.subnets && (is_peer || !same_uid || unknown_.contains(object.name));
  if (!is_unknown || !same_uid) {
    unknown_.erase(object.name);
  }
  if (is_unknown) {
    const auto bad = same_uid ? bad_.find(object.name) : bad_.end();
    note_unknown(object, bad == bad_.end() ? nullptr : &bad->second, seen);
    if (same_uid && is_peer) {  // what is wrong with it may be so still
      known->second = node;
      return;
    }
  } else if (known != nodes_.end() && known->second == node && fault.empty()) {
    return;
  }
  std::optional<LeaseKey> freed;
  if (known != nodes_.end()) {
    freed = known->second.subnets;
    withdraw(known);
  }
  known = nodes_.insert_or_assign(object.name, node).first;
  if (is_peer && !is_unknown) {
    announce(known, attrs_of(object.annotations), std::move(fault));
  }
  promote(freed);
}

bool NodeTable::has(const NodeDigest& node) const {
  const auto known = nodes_.find(node.name);
  return known != nodes_.end() && known->second.subnets &&
         known->second.uid == stable_hash(node.uid) &&
         known->second.annotations == node.annotations;
}

void NodeTable::note_unknown(const NodeObject& object, const Bad* bad, const Seen& seen) {
  const auto [entry, is_new] = unknown_.try_emplace(object.name);
  Unknown& unknown = entry->second;
  unknown.version = object.version;
  unknown.before = seen.before;
  const bool was_peer = std::exchange(unknown.attrs, {}).has_value();
  if (is_managed(object.annotations)) {
    unknown.attrs = attrs_of(object.annotations);
  }
  if (unknown.attrs && !was_peer) {
    unknown.due = bad == nullptr ? seen.at : std::max(seen.at, bad->ask_from);
    unknown.wait = bad == nullptr ? Clock::duration() : bad->wait;
  } else if (is_new) {
    unknown.due = seen.at + ask_after(own_name_, object.uid);
  }
}

void NodeTable::put_own(const NodeObject& object) {
  std::optional<LeaseKey> subnets;
  take_subnets(object, subnets);
  own_subnets_ = subnets ? subnets : own_subnets_;
  const auto holder = subnets ? holders_.find(*subnets) : holders_.end();
  if (holder != holders_.end()) {
    const auto node = *holder;
    withdraw(node);
    changed_.erase(*subnets);
    announce(node, LeaseAttrs(), "");
  }
}

void NodeTable::learn(const NodeObject& object, Clock::time_point now) {
  const auto asked = unknown_.find(object.name);
  const auto known = nodes_.find(object.name);
  if (asked == unknown_.end() || known == nodes_.end() ||
      known->second.uid != stable_hash(object.uid)) {
    return;
  }
  Unknown unknown = std::move(asked->second);
  unknown_.erase(asked);
  withdraw(known);
  std::string fault = take_subnets(object, known->second.subnets);
  if (unknown.attrs) {
    announce(known, std::move(*unknown.attrs), std::move(fault));
  }
  if (const auto bad = bad_.find(object.name); bad != bad_.end() && !known->second.subnets) {
    bad->second.wait = longer(unknown.wait);
    bad->second.ask_from = now + bad->second.wait;
  }
}

void NodeTable::set_asked(const std::string& name) {
  if (const auto asked = unknown_.find(name); asked != unknown_.end()) {
    asked->second.due = Clock::time_point::max();
  }
}

void NodeTable::postpone(const std::string& name, Clock::time_point now, std::string trouble) {
  const auto asked = unknown_.find(name);
  if (asked == unknown_.end()) {
    return;
  }
  Unknown& unknown = asked->second;
  unknown.wait = longer(unknown.wait);
  unknown.due = now + unknown.wait;
  unknown.trouble = std::move(trouble);
}

std::string NodeTable::trouble() const {
  const auto found =
      std::ranges::find_if(unknown_, [](const auto& node) { return !node.second.trouble.empty(); });
  return found == unknown_.end() ? "" : found->second.trouble;
}

void NodeTable::remove(const NodeObject& object) {
  const auto known = nodes_.find(object.name);
  if (known == nodes_.end() || known->second.uid != stable_hash(object.uid)) {
    return;
  }
  const std::optional<LeaseKey> freed = known->second.subnets;
  unknown_.erase(object.name);
  withdraw(known);
  nodes_.erase(known);
  promote(freed);
}

void NodeTable::withdraw(Nodes::iterator node) {
  const auto& [name, known] = *node;
  if (bad_.erase(name) > 0) {
    bad_changed_.insert(name);
  }
  if (!known.subnets) {
    return;
  }
  waiting_.erase({*known.subnets, name});
  const auto holder = holders_.find(*known.subnets);
  if (holder != holders_.end() && *holder == node) {
    holders_.erase(holder);
    changed_[*known.subnets] = std::nullopt;
  }
}

void NodeTable::announce(Nodes::iterator node, Result<LeaseAttrs> attrs, std::string fault) {
  const auto& [name, known] = *node;
  Bad bad{.reason = std::move(fault), .is_holder = false, .attrs = std::move(attrs)};
  if (known.subnets && known.subnets == own_subnets_) {
    bad.reason = fmt::format("{} is that of this node as well", subnets_text(*known.subnets));
  } else if (known.subnets) {
    const auto [holder, is_free] = holders_.insert(node);
    if (!is_free) {
      bad.reason = fmt::format("{} is that of {} as well", subnets_text(*known.subnets),
                               entry_name((*holder)->first));
      waiting_.emplace(*known.subnets, name);
    } else if (bad.attrs) {
      changed_[*known.subnets] = std::move(*bad.attrs);
    } else {
      changed_.erase(*known.subnets);  // what it said before stays
      bad.reason = bad.attrs.error().text;
      bad.is_holder = true;
    }
  }
  if (!bad.reason.empty()) {
    bad_.insert_or_assign(name, std::move(bad));
    bad_changed_.insert(name);
  }
}

void NodeTable::promote(const std::optional<LeaseKey>& subnets) {
  if (!subnets || holders_.contains(*subnets)) {
    return;
  }
  const auto next = waiting_.lower_bound({*subnets, ""});
  if (next != waiting_.end() && next->first == *subnets) {
    const auto node = nodes_.find(next->second);
    Result<LeaseAttrs> attrs = bad_.at(node->first).attrs;
    withdraw(node);
    announce(node, std::move(attrs), "");
  }
}

void NodeTable::add_bad_node(LeaseUpdate& update, const std::string& name, const Bad& bad) const {
  add_bad_entry(update, {.key = entry_name(name), .reason = printable(bad.reason)});
  if (bad.is_holder) {
    update.unreadable.push_back(*nodes_.find(name)->second.subnets);
  }
}

LeaseUpdate NodeTable::take_snapshot() {
  LeaseUpdate update = take_changes();
  update.snapshot = true;
  update.removed.clear();
  update.bad_removed.clear();
  return update;
}

LeaseUpdate NodeTable::take_changes() {
  LeaseUpdate update;
  // There may be thousands, and are not to be there twice.
  for (auto change = changed_.begin(); change != changed_.end(); change = changed_.erase(change)) {
    auto& [subnets, attrs] = *change;
    if (attrs) {
      update.leases.push_back({.key = subnets, .attrs = std::move(*attrs), .expiry = std::nullopt});
    } else {
      update.removed.push_back(subnets);
    }
  }
  for (const std::string& name : std::exchange(bad_changed_, {})) {
    if (const auto bad = bad_.find(name); bad != bad_.end()) {
      add_bad_node(update, name, bad->second);
    } else {
      update.bad_removed.push_back(entry_name(name));
    }
  }
  return update;
}

}  // namespace flannel

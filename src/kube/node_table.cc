#include "kube/node_table.h"

#include <fmt/core.h>

#include <utility>

#include "base/printable.h"
#include "kube/node_annotations.h"

namespace flannel {
namespace {

// Its name in LeaseUpdate, which no subnet has.
std::string entry_name(const std::string& name) {
  return fmt::format("Node \"{}\"", printable(name));
}

}  // namespace

void NodeTable::clear() {
  nodes_.clear();
  holders_.clear();
  bad_.clear();
  unknown_.clear();
  changed_.clear();
  bad_changed_.clear();
}

void NodeTable::put(const NodeObject& object) {
  if (object.name.empty() || object.name == own_name_) {
    return;
  }
  const auto known = nodes_.find(object.name);
  Node node;
  if (known != nodes_.end() && known->second.uid == object.uid) {
    node.subnets = known->second.subnets;
    node.subnets_fault = known->second.subnets_fault;
  }
  node.uid = object.uid;
  node.managed = is_managed(object.annotations);
  if (object.whole) {
    take_spec(object, node);
  }
  if (node.managed) {
    Result<LeaseAttrs> attrs = attrs_of(object.annotations);
    if (attrs) {
      node.attrs = std::move(*attrs);
    } else {
      node.attrs_fault = attrs.error().text;
    }
  }
  if (node.managed && !node.subnets && !object.whole) {
    unknown_[object.name] = object.version;
  } else {
    unknown_.erase(object.name);
  }
  if (known == nodes_.end() || known->second != node) {
    replace(object.name, std::move(node));
  }
}

void NodeTable::learn(const NodeObject& object) {
  unknown_.erase(object.name);
  const auto known = nodes_.find(object.name);
  if (known == nodes_.end() || known->second.uid != object.uid) {
    return;  // the watch is still to say so
  }
  Node node = known->second;
  take_spec(object, node);
  if (node != known->second) {
    replace(object.name, std::move(node));
  }
}

void NodeTable::remove(const NodeObject& object) {
  const auto known = nodes_.find(object.name);
  if (known != nodes_.end() && known->second.uid == object.uid) {
    unknown_.erase(object.name);
    replace(object.name, std::nullopt);
  }
}

void NodeTable::take_spec(const NodeObject& object, Node& node) const {
  const Result<LeaseKey> subnets = subnets_of(object);
  node.subnets.reset();
  node.subnets_fault.clear();
  if (!subnets) {
    node.subnets_fault = subnets.error().text;
  } else if (*subnets == LeaseKey{}) {
    node.subnets_fault = "no podCIDR is assigned to it";
  } else {
    node.subnets = *subnets;
  }
}

void NodeTable::replace(const std::string& name, std::optional<Node> node) {
  const auto known = nodes_.find(name);
  std::optional<LeaseKey> freed;
  if (known != nodes_.end()) {
    freed = known->second.subnets;
    hide(name, known->second);
  }
  if (node) {
    show(name, nodes_[name] = std::move(*node));
  } else {
    nodes_.erase(known);
  }
  if (freed && !holders_.contains(*freed)) {
    show_those_who_wait_for(*freed);
  }
}

void NodeTable::hide(const std::string& name, const Node& node) {
  if (bad_.erase(name) > 0) {
    bad_changed_.insert(name);
  }
  const auto holder = node.subnets ? holders_.find(*node.subnets) : holders_.end();
  if (holder != holders_.end() && holder->second == name) {
    holders_.erase(holder);
    changed_[*node.subnets] = std::nullopt;
  }
}

void NodeTable::show(const std::string& name, const Node& node) {
  if (!node.managed) {
    return;
  }
  Bad bad{.reason = node.subnets_fault.empty() ? node.attrs_fault : node.subnets_fault,
          .subnets = std::nullopt};
  if (node.subnets) {
    const auto [holder, is_free] = holders_.try_emplace(*node.subnets, name);
    if (!is_free) {
      bad.reason = fmt::format("{} is that of {} as well", subnets_text(*node.subnets),
                               entry_name(holder->second));
    } else if (bad.reason.empty()) {
      changed_[*node.subnets] = node.attrs;
    } else {
      changed_.erase(*node.subnets);  // what it said before stays
      bad.subnets = node.subnets;
    }
  }
  if (!bad.reason.empty()) {
    bad_[name] = std::move(bad);
    bad_changed_.insert(name);
  }
}

void NodeTable::show_those_who_wait_for(const LeaseKey& subnets) {
  for (const auto& [name, bad] : bad_) {
    const Node& node = nodes_.find(name)->second;
    if (node.subnets == subnets) {
      const std::string found = name;
      hide(found, node);
      show(found, node);
      return;
    }
  }
}

void NodeTable::add(LeaseUpdate& update, const std::string& name, const Bad& bad) {
  if (update.bad.size() < kMostBadEntries) {
    update.bad.push_back({.key = entry_name(name), .reason = printable(bad.reason)});
  } else {
    ++update.more_bad;
  }
  if (bad.subnets) {
    update.unreadable.push_back(*bad.subnets);
  }
}

LeaseUpdate NodeTable::snapshot() {
  LeaseUpdate update{.snapshot = true};
  for (const auto& [subnets, name] : holders_) {
    const Node& node = nodes_.find(name)->second;
    if (!bad_.contains(name)) {
      update.leases.push_back({.key = subnets, .attrs = node.attrs, .expiry = std::nullopt});
    }
  }
  for (const auto& [name, bad] : bad_) {
    add(update, name, bad);
  }
  changed_.clear();
  bad_changed_.clear();
  return update;
}

LeaseUpdate NodeTable::take_changes() {
  LeaseUpdate update;
  for (auto& [subnets, attrs] : changed_) {
    if (attrs) {
      update.leases.push_back({.key = subnets, .attrs = std::move(*attrs), .expiry = std::nullopt});
    } else {
      update.removed.push_back(subnets);
    }
  }
  for (const std::string& name : bad_changed_) {
    const auto bad = bad_.find(name);
    if (bad != bad_.end()) {
      add(update, name, bad->second);
    } else {
      update.bad_removed.push_back(entry_name(name));
    }
  }
  changed_.clear();
  bad_changed_.clear();
  return update;
}

}  // namespace flannel

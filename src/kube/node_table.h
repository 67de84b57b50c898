// Who is there by the Nodes of the cluster, and what an object that comes changes of it.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "kube/node_object.h"
#include "network/lease.h"

namespace flannel {

// A Node is a peer that says so (is_managed()), has a podCIDR, and annotations that can be read. A
// podCIDR never changes for a UID once it is set (k8s.io/kubernetes, ValidateNodeUpdate), so that
// metadata alone says all that is new of a Node whose UID is known.
class NodeTable {
 public:
  // Our own node is never among the peers.
  explicit NodeTable(std::string own_name) : own_name_(std::move(own_name)) {}

  // A list: clear(), put() of each Node, then snapshot().
  void clear();
  LeaseUpdate snapshot();

  // A Node of a list, or an event of a watch.
  void put(const NodeObject& node);
  void remove(const NodeObject& node);
  // What a whole Node says of one that put() knows: its podCIDRs alone, since the watch has the
  // order of what is said of the rest.
  void learn(const NodeObject& node);
  // What the three have changed since the last call, or the last snapshot.
  LeaseUpdate take_changes();

  // Peers whose podCIDR is not known, and as of which version they are some: their Nodes are to be
  // asked for, and then learn() or forget() it.
  const std::map<std::string, std::string>& unknown() const { return unknown_; }
  // There is no Node of that name any more.
  void forget(const std::string& name) { unknown_.erase(name); }

 private:
  struct Node {
    std::string uid;
    std::optional<LeaseKey> subnets;
    std::string subnets_fault;  // why there are none
    bool managed = false;
    LeaseAttrs attrs;
    std::string attrs_fault;  // why they are not to be had
    bool operator==(const Node&) const = default;
  };
  struct Bad {
    std::string reason;
    std::optional<LeaseKey> subnets;  // of these it is the holder
  };

  void take_spec(const NodeObject& object, Node& node) const;
  void replace(const std::string& name, std::optional<Node> node);
  void hide(const std::string& name, const Node& node);
  void show(const std::string& name, const Node& node);
  void show_those_who_wait_for(const LeaseKey& subnets);
  static void add(LeaseUpdate& update, const std::string& name, const Bad& bad);

  std::string own_name_;
  std::map<std::string, Node, std::less<>> nodes_;
  std::map<LeaseKey, std::string> holders_;  // of subnets: the first node that has them
  std::map<std::string, Bad> bad_;           // nodes that say they are peers, and are none
  std::map<std::string, std::string> unknown_;
  // Since the last call.
  std::map<LeaseKey, std::optional<LeaseAttrs>> changed_;  // nothing: no peer any more
  std::set<std::string> bad_changed_;
};

}  // namespace flannel

// Who is there by the Nodes of the cluster, and what an object that comes changes of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "kube/node_object.h"
#include "network/lease.h"

namespace flannel {

// A Node that has just come gets its podCIDR from the controller-manager within this time, and is a
// peer some seconds later, when a pod of its own runs there. It is asked for between one time and
// the other, by each node at a time of its own, unless it is a peer before.
inline constexpr std::chrono::seconds kAskSoonest{1};
inline constexpr std::chrono::seconds kAskLatest{3};
// A peer that had no podCIDR when it was asked for is asked for again after changes, and a Node of
// which no answer said anything without one, but not before a time has passed that doubles with
// each answer.
inline constexpr std::chrono::seconds kAskAgainFirst{1};
inline constexpr std::chrono::seconds kAskAgainMost{30};

// A Node is a peer that says so (is_managed()), has a podCIDR, and annotations that can be read. A
// podCIDR never changes for a UID once it is set (k8s.io/kubernetes, ValidateNodeUpdate), so that
// metadata alone says all that is new of a Node whose podCIDR is known.
//
// Of most Nodes nothing is kept but whose subnets they are, and a digest by which news is told from
// a heartbeat: the leases themselves are with who gets the updates.
class NodeTable {
 public:
  using Clock = std::chrono::steady_clock;
  // When an event has come, and the last version seen before: a watch from there has it.
  struct Seen {
    Clock::time_point at;
    std::string before;
  };

  // A list: clear(), put() of each Node, then take_snapshot(). Our own node, which is called
  // `own_name`, is never among the peers.
  void clear(std::string own_name);
  LeaseUpdate take_snapshot();

  // A Node of a list, or an event of a watch.
  void put(const NodeObject& object, const Seen& seen = {});
  // put() of such metadata would change nothing: a heartbeat.
  bool has(const NodeDigest& node) const;
  // Our own Node of a list: its podCIDRs, from then on, are nobody else's.
  void put_own(const NodeObject& object);
  void remove(const NodeObject& object);
  // What a whole Node says of one that is unknown(): its podCIDRs alone, since the watch has the
  // order of what is said of the rest. One of another UID says nothing of it.
  void learn(const NodeObject& object, Clock::time_point now);
  // What the three have changed since the last call.
  LeaseUpdate take_changes();

  struct Unknown {
    std::string version;     // of the last event of it
    std::string before;      // as in Seen
    Clock::time_point due;   // when it is to be asked for; never while an answer is to come
    Clock::duration wait{};  // since it was, the last time
    std::string trouble;     // why it is not known yet; empty: it is early
    // As of that version; nothing: it is no peer.
    std::optional<Result<LeaseAttrs>> attrs;
  };
  // Nodes whose podCIDR is not known: they are to be asked for, and are set_asked() until learn()
  // has the answer. Whether there is such a Node is for the watch to say, whatever the answer.
  const std::map<std::string, Unknown>& unknown() const { return unknown_; }
  void set_asked(const std::string& name);
  // It is unknown() still, if it is, since the answer did not say; `trouble`: as in Unknown.
  void postpone(const std::string& name, Clock::time_point now, std::string trouble);
  // Of the first that has one.
  std::string trouble() const;

 private:
  struct Node {
    std::uint64_t uid = 0;          // a digest, and so is
    std::uint64_t annotations = 0;  // what it says
    std::optional<LeaseKey> subnets;
    bool operator==(const Node&) const = default;
  };
  using Nodes = std::map<std::string, Node, std::less<>>;
  // Of a Node that says it is a peer, and is of no use.
  struct Bad {
    std::string reason;
    bool is_holder = false;    // of its subnets, all the same
    Result<LeaseAttrs> attrs;  // for when it may have them
    // It has no podCIDR: how long it is not to be asked for, and until when that is.
    Clock::duration wait{};
    Clock::time_point ask_from;
  };
  struct BySubnets {
    using is_transparent = void;
    using Node = Nodes::const_iterator;
    bool operator()(Node a, Node b) const { return *a->second.subnets < *b->second.subnets; }
    bool operator()(Node a, const LeaseKey& b) const { return *a->second.subnets < b; }
    bool operator()(const LeaseKey& a, Node b) const { return a < *b->second.subnets; }
  };

  void note_unknown(const NodeObject& object, const Bad* bad, const Seen& seen);

  // A Node that says it is a peer becomes the holder of its subnets, with these attributes, or is
  // bad where `fault` says why, the attributes cannot be read, or another Node holds them.
  void announce(Nodes::iterator node, Result<LeaseAttrs> attrs, std::string fault);
  // Takes back what announce() did, if it did.
  void withdraw(Nodes::iterator node);
  // Where nobody holds these subnets any more, the first Node that waits for them does.
  void promote(const std::optional<LeaseKey>& subnets);
  void add_bad_node(LeaseUpdate& update, const std::string& name, const Bad& bad) const;

  std::string own_name_;
  std::optional<LeaseKey> own_subnets_;
  Nodes nodes_;
  std::set<Nodes::iterator, BySubnets> holders_;  // of subnets: the first Node that has them
  std::map<std::string, Bad> bad_;
  std::set<std::pair<LeaseKey, std::string>> waiting_;  // Nodes whose subnets another one holds
  std::map<std::string, Unknown> unknown_;
  // Since the last call.
  std::map<LeaseKey, std::optional<LeaseAttrs>> changed_;  // nothing: no peer any more
  std::set<std::string> bad_changed_;
};

}  // namespace flannel

// What the programs of iptables do for ops of one family: our rules, and that those which another
// kind of iptables was given earlier go.
#pragma once

#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "firewall/iptables_change.h"
#include "kernel/netlink_socket.h"
#include "process/process.h"

namespace flannel {

class IptablesJob {
 public:
  // `requests`, of NETLINK_NETFILTER, outlives this object.
  IptablesJob(netlink::RequestSocket& requests, Family family,
              std::vector<IptablesChange::Row> rows);

  // As IptablesChange::poll() and fd(). Throws std::system_error.
  std::optional<OpResult> poll();
  int fd() { return version_ ? version_->fd() : change_->fd(); }

  // To be asked when all is done: the table turned out to be as wanted; rules of another kind of
  // iptables may be left, for want of the programs that could tell or remove them.
  bool leaves(const Ruleset::Key& key) const { return change_->leaves(key); }
  bool is_incomplete() const { return incomplete_; }

 private:
  std::optional<OpResult> step();
  void leave_other_kind(std::string_view reason);
  void ask_version();
  std::optional<OpResult> take_version();
  std::optional<std::string_view> kind_to_clear(const IptablesChange::Row& row);
  bool clear_other_kind();

  netlink::RequestSocket& requests_;
  Family family_;
  std::vector<IptablesChange::Row> rows_;
  std::optional<IptablesChange> change_;       // the last one; there is one always
  std::optional<Program> version_;             // runs instead, to tell `host_kind_`
  std::optional<std::string_view> host_kind_;  // of its programs; empty: cannot be told
  std::set<std::string_view> cleared_;         // kinds of iptables
  bool incomplete_ = false;
};

}  // namespace flannel

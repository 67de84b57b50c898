// Our rule sets in the kernel: nftables by nfnetlink, iptables by its programs.
#pragma once

#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "firewall/iptables_fingerprint.h"
#include "firewall/iptables_job.h"
#include "firewall/iptables_legacy.h"
#include "firewall/nft_tables.h"
#include "kernel/netlink_socket.h"
#include "kernel/part.h"

namespace flannel {

class FirewallPart : public Part {
 public:
  // In the network namespace of the thread. The older kind of iptables tells nobody what is done to
  // its tables: they are looked at every `resync`. Throws std::system_error.
  explicit FirewallPart(std::chrono::milliseconds resync);

  KindSet kinds() const override { return flannel::kinds<Ruleset>(); }
  // Of both tools and families, whichever is wanted, so that what another choice left behind goes.
  // No program is run: rules of iptables that were neither written nor listed since they are what
  // they are have a line that says so.
  void dump(const Scope& scope, KindSet kinds, Snapshot& snapshot) override;
  // Those of nftables at once, those of iptables are pending. No rules of a family go while others
  // that take their place cannot be put.
  std::vector<OpResult> apply(std::span<const Op> ops) override;
  int notify_fd() const override { return epoll_.get(); }
  void changes(const Scope& scope, Changes& changes) override;
  // Where there are tables of the older kind of iptables, in which rules by our names may come
  // without notice, whether any are wanted or not; of all others notifications tell.
  std::optional<std::chrono::milliseconds> audit() const override;

 protected:
  // Ops are pending.
  bool is_busy() const { return !queue_.empty(); }
  // What the names of ours end in, from now on.
  void set_suffix(std::string suffix);
  const std::string& suffix() const { return suffix_; }
  // Of all sets by these names, be they there or not.
  std::vector<Ruleset::Key> our_keys() const;
  // changes() is to be called.
  void wake();

 private:
  // What the rules of iptables were when they were listed or written.
  struct Known {
    IptablesFingerprint fingerprint;
    std::vector<std::string> lines;
  };
  // Ops of one family that wait for their turn.
  struct Queued {
    Family family{};
    std::vector<Op> ops;
    std::optional<IptablesJob> job;  // of the first alone, and where they are of iptables
  };
  struct Failed {
    Op op;
    OpResult result;
    std::chrono::steady_clock::time_point when;
  };

  std::optional<Ruleset> read(const Ruleset::Key& key);
  std::optional<Ruleset> read_iptables(const Ruleset::Key& key);
  std::optional<std::vector<std::string>> known_lines(const Ruleset::Key& key,
                                                      const IptablesFingerprint& now);
  void take_news(Changes& changes);
  // Goes on with what is queued.
  void follow(Changes& changes);
  std::optional<OpResult> step(Queued& first);
  const Failed* failed_just_now(const Op& op) const;
  void finish(const Queued& done, const OpResult& result, Changes& changes);
  OpResult note_written(const Ruleset& row, bool incomplete, Changes& changes);
  void look_again(const Ruleset::Key& key, Changes& changes);
  bool is_queued(const Ruleset::Key& key) const;
  void note_result(const Op& op, const OpResult& result);
  bool must_stay(const Ruleset::Key& key) const;
  OpResult remove_table(const Ruleset::Key& key);
  void watch(int fd);

  std::chrono::milliseconds resync_;
  std::string suffix_;
  netlink::RequestSocket requests_;
  NftTables tables_;
  LegacyTables legacy_tables_;
  netlink::NotificationSocket notifications_;
  UniqueFd begin_;                                 // an eventfd: of wake()
  UniqueFd epoll_;                                 // of the two and of the program that runs
  std::set<Ruleset::Key> touched_;                 // to be looked at again
  std::set<Ruleset::Key> in_transaction_;          // that is being told of
  std::map<Ruleset::Key, unsigned> transactions_;  // since its change has begun
  std::map<Ruleset::Key, Known> known_;
  std::deque<Queued> queue_;
  std::map<Ruleset::Key, Failed> failed_;  // the last op
};

}  // namespace flannel

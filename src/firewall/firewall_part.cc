#include "firewall/firewall_part.h"

#include <linux/netfilter/nfnetlink.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <ranges>
#include <set>
#include <utility>

#include "base/log.h"
#include "firewall/iptables.h"
#include "firewall/iptables_rules.h"
#include "firewall/nft_message.h"
#include "firewall/plan.h"

namespace flannel {
namespace {

const Ruleset& ruleset_of(const Op& op) {
  return std::get<Ruleset>(op.object);
}

Ruleset::Key nft_key(Family family) {
  return {FirewallTool::nftables, family, std::string(nft_table_name(family))};
}

Ruleset::Key iptables_key(Family family, const IptablesPlace& place) {
  return {FirewallTool::iptables, family, std::string(place.table)};
}

// What no rules of ours are equal to.
Ruleset with_remark(const Ruleset::Key& key, std::string remark) {
  return {key, {"# " + std::move(remark)}};
}

// The rule set that a notification may be about.
std::optional<Ruleset::Key> key_of(const NftNews& news) {
  for (const Family family : kFamilies) {
    if (news.family != nft_family(family)) {
      continue;
    }
    if (news.table == nft_table_name(family)) {
      return nft_key(family);
    }
    for (const IptablesPlace& place : kIptablesPlaces) {
      const bool chain =
          news.chain.empty() || news.chain == place.from || news.chain == place.chain;
      if (news.table == place.table && chain) {
        return iptables_key(family, place);
      }
    }
  }
  return std::nullopt;
}

// How long a failure counts against removals: what is wanted is tried more often than that.
constexpr std::chrono::seconds kFailureCounts{5};
// What a program has refused it is not asked for again sooner.
constexpr std::chrono::seconds kBetweenPrograms{1};

OpResult not_before_the_others() {
  return {.error = EBUSY, .text = "stays until the rules that take its place are there"};
}

}  // namespace

FirewallPart::FirewallPart(std::chrono::milliseconds resync)
    : resync_(resync),
      requests_(NETLINK_NETFILTER),
      notifications_(NETLINK_NETFILTER, std::array{int{NFNLGRP_NFTABLES}}),
      begin_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  watch(notifications_.fd());
  watch(begin_.get());
}

// The same descriptor again, or another with its number, is no error.
void FirewallPart::watch(int fd) {
  epoll_event event{.events = EPOLLIN, .data = {.fd = fd}};
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
}

bool FirewallPart::is_queued(const Ruleset::Key& key) const {
  return std::ranges::any_of(queue_, [&](const Queued& queued) {
    return std::ranges::any_of(queued.ops, [&](const Op& op) { return ruleset_of(op).key == key; });
  });
}

// The lines of iptables where the kernel has what it had when they were known; nothing where only
// the programs can tell.
std::optional<std::vector<std::string>> FirewallPart::known_lines(const Ruleset::Key& key,
                                                                  const IptablesFingerprint& now) {
  if (now.empty()) {
    known_.erase(key);
    return std::vector<std::string>();
  }
  const auto known = known_.find(key);
  return known != known_.end() && known->second.fingerprint == now
             ? std::optional(known->second.lines)
             : std::nullopt;
}

// Where only the programs can tell what there is, no more than that: they are asked when it is
// changed, and it is not where it turns out to be as wanted.
std::optional<Ruleset> FirewallPart::read_iptables(const Ruleset::Key& key) {
  std::optional<std::vector<std::string>> lines =
      known_lines(key, read_iptables_fingerprint(requests_, key));
  if (!lines) {
    return with_remark(key, is_queued(key)         ? "being changed"
                            : known_.contains(key) ? "changed by others"
                                                   : "not looked at yet");
  }
  return lines->empty() ? std::nullopt : std::optional(Ruleset{key, std::move(*lines)});
}

std::optional<std::chrono::milliseconds> FirewallPart::audit() const {
  const bool silent = std::ranges::any_of(
      known_, [](const auto& known) { return !known.second.fingerprint.legacy.bytes.empty(); });
  return silent ? std::optional(resync_) : std::nullopt;
}

void FirewallPart::dump(const Scope&, Snapshot& snapshot) {
  Table<Ruleset> rows;
  for (const Family family : kFamilies) {
    for (const IptablesPlace& place : kIptablesPlaces) {
      if (std::optional<Ruleset> row = read_iptables(iptables_key(family, place))) {
        rows.put(std::move(*row));
      }
    }
    if (std::optional<Ruleset> row = tables_.read_rules(nft_key(family))) {
      rows.put(std::move(*row));
    }
  }
  snapshot.ours.of<Ruleset>() = std::move(rows);
}

std::vector<OpResult> FirewallPart::apply(std::span<const Op> ops) {
  std::vector<OpResult> results;
  const std::size_t queued = queue_.size();
  const auto put_in_queue = [&](const Op& op, FirewallTool tool) {
    const Family family = ruleset_of(op).key.family;
    const auto same = std::find_if(queue_.begin() + static_cast<std::ptrdiff_t>(queued),
                                   queue_.end(), [&](const Queued& each) {
                                     return each.family == family &&
                                            ruleset_of(each.ops.front()).key.tool == tool;
                                   });
    if (same != queue_.end()) {
      same->ops.push_back(op);
    } else {
      queue_.push_back({family, {op}, std::nullopt});
    }
    return OpResult{.pending = true};
  };
  const auto is_waited_for = [&](Family family) {
    return std::ranges::any_of(queue_, [&](const Queued& each) { return each.family == family; });
  };
  for (const Op& op : ops) {
    const auto& [tool, family, table] = ruleset_of(op).key;
    const bool removes = op.verb == Op::Verb::remove;
    if (const Failed* failed = failed_just_now(op)) {
      results.push_back(failed->result);
    } else if (tool == FirewallTool::iptables || (removes && is_waited_for(family))) {
      results.push_back(put_in_queue(op, tool));
    } else if (removes) {
      results.push_back(remove_table(ruleset_of(op).key));
    } else {
      results.push_back(tables_.put(ruleset_of(op)));
      note_result(op, results.back());
    }
  }
  if (!queue_.empty()) {
    const std::uint64_t one = 1;
    (void)!::write(begin_.get(), &one, sizeof one);
  }
  return results;
}

void FirewallPart::note_result(const Op& op, const OpResult& result) {
  if (result.ok()) {
    failed_.erase(ruleset_of(op).key);
  } else {
    failed_.insert_or_assign(ruleset_of(op).key,
                             Failed{op, result, std::chrono::steady_clock::now()});
  }
}

// The same op of iptables, where it is not to be tried again yet.
const FirewallPart::Failed* FirewallPart::failed_just_now(const Op& op) const {
  const Ruleset::Key& key = ruleset_of(op).key;
  const auto failed = failed_.find(key);
  const bool is_it = failed != failed_.end() && key.tool == FirewallTool::iptables &&
                     failed->second.op == op &&
                     failed->second.when > std::chrono::steady_clock::now() - kBetweenPrograms;
  return is_it ? &failed->second : nullptr;
}

// Whether the other tool's rules are wanted and cannot be put.
bool FirewallPart::must_stay(const Ruleset::Key& key) const {
  const auto since = std::chrono::steady_clock::now() - kFailureCounts;
  return std::ranges::any_of(failed_, [&](const auto& each) {
    const auto& [its, failed] = each;
    return its.family == key.family && its.tool != key.tool && failed.op.verb != Op::Verb::remove &&
           failed.when > since;
  });
}

OpResult FirewallPart::remove_table(const Ruleset::Key& key) {
  return must_stay(key) ? not_before_the_others() : tables_.remove(key);
}

// Of the programs, or of a table of nftables that is to go now.
std::optional<OpResult> FirewallPart::step(Queued& first) {
  const Ruleset::Key& key = ruleset_of(first.ops.front()).key;
  if (key.tool == FirewallTool::nftables) {
    return remove_table(key);
  }
  const bool removes =
      std::ranges::all_of(first.ops, [](const Op& op) { return op.verb == Op::Verb::remove; });
  if (removes && !first.change && must_stay(key)) {
    return not_before_the_others();
  }
  if (!first.change) {
    std::vector<IptablesChange::Row> rows;
    for (const Op& op : first.ops) {
      const Ruleset& row = ruleset_of(op);
      rows.push_back({row.key, known_lines(row.key, read_iptables_fingerprint(requests_, row.key)),
                      op.verb == Op::Verb::remove ? std::vector<std::string>() : row.lines});
    }
    first.change.emplace(first.family, std::move(rows));
  }
  return first.change->poll();
}

// What the kind of iptables has of ours which the host's programs do not write, as after another
// was made the host's, goes when theirs is done. False where there is no more to do.
bool FirewallPart::clear_other_kind(Queued& first) {
  if (!first.change) {
    return false;
  }
  std::map<std::string_view, std::vector<IptablesChange::Row>> rows;
  for (const Op& op : first.ops) {
    const Ruleset::Key& key = ruleset_of(op).key;
    const IptablesFingerprint now = read_iptables_fingerprint(requests_, key);
    const bool both = !now.nft.bytes.empty() && !now.legacy.bytes.empty();
    if (op.verb != Op::Verb::remove && !both) {
      continue;
    }
    const bool nft = op.verb == Op::Verb::remove
                         ? !now.nft.bytes.empty()
                         : !iptables_version(key.family).contains("nf_tables");
    if (!now.empty()) {
      rows[nft ? kNftKind : kLegacyKind].push_back({key, std::nullopt, {}});
    }
  }
  for (auto& [kind, its] : rows) {
    if (!first.cleared.insert(kind).second) {
      continue;
    }
    if (const auto path = iptables_program(first.family, fmt::format("{}-restore", kind)); !path) {
      log_warning("rules of the other kind of iptables stay: {}", path.error().text);
      first.incomplete = true;
      continue;
    }
    first.change.emplace(first.family, std::move(its), kind);
    return true;
  }
  return false;
}

void FirewallPart::follow(Changes& changes) {
  std::uint64_t begun = 0;
  (void)!::read(begin_.get(), &begun, sizeof begun);
  while (!queue_.empty()) {
    const std::optional<OpResult> result = step(queue_.front());
    if (!result) {
      watch(queue_.front().change->fd());
      return;
    }
    if (result->ok() && clear_other_kind(queue_.front())) {
      continue;
    }
    const Queued done = std::move(queue_.front());
    queue_.pop_front();
    // What fails together is tried alone, so that one table keeps no other from its rules.
    if (!result->ok() && result->error != ETIMEDOUT && done.ops.size() > 1) {
      for (const Op& op : done.ops | std::views::reverse) {
        queue_.push_front({done.family, {op}, std::nullopt});
      }
      continue;
    }
    finish(done, *result, changes);
  }
}

void FirewallPart::finish(const Queued& done, const OpResult& result, Changes& changes) {
  for (const Op& op : done.ops) {
    const Ruleset& row = ruleset_of(op);
    changes.answers.push_back({op, result});
    changes.answers.back().result.untouched = done.change && done.change->leaves(row.key);
    if (row.key.tool == FirewallTool::nftables) {
      continue;
    }
    if (done.change) {
      note_result(op, result);
    }
    if (!result.ok()) {
      look_again(row.key, changes);
    } else {
      note_written(op.verb == Op::Verb::remove ? Ruleset{row.key, {}} : row, done.incomplete,
                   changes);
    }
  }
}

// `incomplete`: what is there beside cannot be had away.
void FirewallPart::note_written(const Ruleset& row, bool incomplete, Changes& changes) {
  const IptablesFingerprint now = read_iptables_fingerprint(requests_, row.key);
  if (now.may_be(row.lines) || incomplete) {
    known_[row.key] = {now, row.lines};
  } else {  // somebody was there already
    known_.erase(row.key);
    look_again(row.key, changes);
  }
}

// Tells what is there where that is news.
void FirewallPart::look_again(const Ruleset::Key& key, Changes& changes) {
  if (is_queued(key)) {
    return;  // it is looked at when that is done
  }
  std::optional<Ruleset> row =
      key.tool == FirewallTool::nftables ? tables_.read_rules(key) : read_iptables(key);
  changes.ours.push_back({!row, row ? std::move(*row) : Ruleset{key, {}}});
}

void FirewallPart::changes(const Scope&, Changes& changes) {
  std::set<Ruleset::Key> touched;
  const bool complete = notifications_.drain([&](const netlink::MessageView& message) {
    if (const std::optional<NftNews> news = decode_nft_news(message)) {
      if (const std::optional<Ruleset::Key> key = key_of(*news)) {
        touched.insert(*key);
      }
    }
  });
  if (!complete) {
    changes.dump_needed |= kinds();
  }
  for (const Ruleset::Key& key : touched) {
    look_again(key, changes);
  }
  follow(changes);
}

}  // namespace flannel

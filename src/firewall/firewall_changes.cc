// FirewallPart: ops, and those that wait for their turn because programs do them.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ranges>
#include <system_error>
#include <utility>

#include "base/log.h"
#include "firewall/firewall_part.h"
#include "firewall/iptables_program.h"

namespace flannel {
namespace {

const Ruleset& ruleset_of(const Op& op) {
  return std::get<Ruleset>(op.object);
}

// How long a failure counts against removals: what is wanted is tried more often than that.
constexpr std::chrono::seconds kFailureCounts{5};
// What a program has refused it is not asked for again sooner.
constexpr std::chrono::seconds kBetweenPrograms{1};

// What breaks is a failure of that op alone.
template <class Work>
auto answer_of(const Work& work) -> decltype(work()) {
  try {
    return work();
  } catch (const std::system_error& error) {
    return OpResult{.error = error.code().value(), .text = error.what()};
  }
}

OpResult not_before_the_others() {
  return {.error = EBUSY, .text = "stays until the rules that take its place are there"};
}

}  // namespace

bool FirewallPart::is_queued(const Ruleset::Key& key) const {
  return std::ranges::any_of(queue_, [&](const Queued& queued) {
    return std::ranges::any_of(queued.ops, [&](const Op& op) { return ruleset_of(op).key == key; });
  });
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
      queue_.push_back(Queued{.family = family, .ops = {op}});
    }
    return OpResult{.pending = true};
  };
  const auto is_waited_for = [&](Family family) {
    return std::ranges::any_of(queue_, [&](const Queued& each) { return each.family == family; });
  };
  for (const Op& op : ops) {
    const FirewallTool tool = ruleset_of(op).key.tool;
    const Family family = ruleset_of(op).key.family;
    const bool removes = op.verb == Op::Verb::remove;
    if (const Failed* failed = failed_just_now(op)) {
      results.push_back(failed->result);
    } else if (tool == FirewallTool::iptables || (removes && is_waited_for(family))) {
      results.push_back(put_in_queue(op, tool));
    } else if (removes) {
      results.push_back(remove_table(ruleset_of(op).key));
    } else {
      results.push_back(answer_of([&] { return tables_.put(ruleset_of(op)); }));
      note_result(op, results.back());
    }
  }
  if (!queue_.empty()) {
    wake();
  }
  return results;
}

void FirewallPart::wake() {
  const std::uint64_t one = 1;
  (void)!::write(begin_.get(), &one, sizeof one);
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
  return must_stay(key) ? not_before_the_others() : answer_of([&] { return tables_.remove(key); });
}

// Of the programs, or of a table of nftables that is to go now.
std::optional<OpResult> FirewallPart::step(Queued& first) {
  const Ruleset::Key& key = ruleset_of(first.ops.front()).key;
  if (key.tool == FirewallTool::nftables) {
    return remove_table(key);
  }
  const bool removes =
      std::ranges::all_of(first.ops, [](const Op& op) { return op.verb == Op::Verb::remove; });
  if (removes && !first.job && must_stay(key)) {
    return not_before_the_others();
  }
  if (!first.job) {
    std::vector<IptablesChange::Row> rows;
    for (const Op& op : first.ops) {
      const Ruleset& row = ruleset_of(op);
      transactions_.erase(row.key);
      rows.push_back({row.key, known_lines(row.key, read_iptables_fingerprint(requests_, row.key)),
                      op.verb == Op::Verb::remove ? std::vector<std::string>() : row.lines});
    }
    first.job.emplace(requests_, first.family, std::move(rows));
  }
  return first.job->poll();
}

void FirewallPart::follow(Changes& changes) {
  std::uint64_t begun = 0;
  (void)!::read(begin_.get(), &begun, sizeof begun);
  while (!queue_.empty()) {
    Queued& first = queue_.front();
    const std::optional<OpResult> result = answer_of([&] { return step(first); });
    if (!result) {
      watch(first.job->fd());
      return;
    }
    const Queued done = std::move(first);
    queue_.pop_front();
    // What fails together is tried alone, so that one table keeps no other from its rules.
    if (!result->ok() && result->error != ETIMEDOUT && done.ops.size() > 1) {
      for (const Op& op : done.ops | std::views::reverse) {
        queue_.push_front(Queued{.family = done.family, .ops = {op}});
      }
      continue;
    }
    finish(done, *result, changes);
  }
}

void FirewallPart::finish(const Queued& done, const OpResult& result, Changes& changes) {
  for (const Op& op : done.ops) {
    const Ruleset& row = ruleset_of(op);
    OpResult its = result;
    if (row.key.tool == FirewallTool::iptables) {
      const bool removes = op.verb == Op::Verb::remove;
      if (its.ok()) {
        its =
            note_written(removes ? Ruleset{row.key, {}} : row, done.job->is_incomplete(), changes);
      }
      if (done.job) {
        note_result(op, its);
      }
      if (!its.ok()) {
        touched_.insert(row.key);
      }
    }
    its.untouched = its.ok() && done.job && done.job->leaves(row.key);
    changes.answers.push_back({op, std::move(its)});
  }
}

// What a program has done without an error is looked at: by how many rules there are, which tells
// ours from others only where nobody else has changed them meanwhile, as the kind that notifies
// says. `incomplete`: what is there beside cannot be had away.
OpResult FirewallPart::note_written(const Ruleset& row, bool incomplete, Changes& changes) {
  return answer_of([&] {
    IptablesFingerprint now = read_iptables_fingerprint(requests_, row.key);
    take_news(changes);
    const bool others = transactions_[row.key] > 1, fits = incomplete || now.may_be(row.lines);
    if (fits && !others) {
      known_[row.key] = {std::move(now), row.lines};
    } else {
      known_.erase(row.key);
      touched_.insert(row.key);
    }
    return fits || others ? OpResult{}
                          : OpResult{.error = EIO,
                                     .text =
                                         "the programs of iptables end without an error, and "
                                         "the kernel does not have what they were to make"};
  });
}

}  // namespace flannel

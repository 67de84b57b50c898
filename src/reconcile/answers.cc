// Reconciler: what the kernel answered.

#include <algorithm>
#include <string>
#include <utility>

#include "base/log.h"
#include "reconcile/mirror.h"
#include "reconcile/problems.h"
#include "reconcile/reconciler.h"

namespace flannel {
namespace {

// New problems of one pass that are written to the log one by one.
constexpr std::size_t kMostLogged = 5;

// An object is held down from its second repair in a row on; each later one is no news.
constexpr unsigned kFirstHeldDown = 2;

// What may have been an administrator's: its removal is in the log whatever the verbosity.
bool removes_stale(const Op& op, const Scope& scope) {
  const Route* route = std::get_if<Route>(&op.object);
  return scope.adopt_stale && op.verb == Op::Verb::remove && route != nullptr &&
         is_left_by_reference(scope, *route);
}

}  // namespace

// The kinds of which something failed that did not fail before, or not for this reason.
KindSet Reconciler::record_outcomes(const std::vector<Op>& ops,
                                    const std::vector<Outcome>& outcomes) {
  std::vector<Problem> problems;
  std::vector<std::size_t> place(ops.size());  // of the problem of each op that failed
  std::size_t told = 0;
  KindSet news;
  something_waited_ = false;
  bool settled = true;  // all that a node needs is there, and every op was answered once
  report_.pending = {};
  for (std::size_t i = 0; i < ops.size(); ++i) {
    const Outcome& outcome = outcomes[i];
    const std::optional<std::size_t> cause = outcome.waits_for;
    if (outcome.result.ok()) {
      note_success(ops[i], outcome.result);
      continue;
    }
    ++report_.pending[ops[i].object.index()];
    settled = settled && !is_of_node(ops[i].object);
    if (outcome.result.pending || (cause && outcomes[*cause].result.pending)) {
      settled = settled && find_failed(report_.problems, ops[cause.value_or(i)]) != nullptr;
      note_pending(ops[i], outcome, problems);
    } else if (cause) {
      ++problems[place[*cause]].waiting;
      something_waited_ = true;
    } else {
      place[i] = problems.size();
      auto [problem, is_new] = note_failure(ops[i], outcome);
      problems.push_back(std::move(problem));
      news |= is_new && outcome.repairs == 0 ? kinds_around(ops[i].object) : KindSet();
      const bool tells = is_new && (outcome.repairs == 0 || outcome.repairs == kFirstHeldDown);
      if (tells && ++told <= kMostLogged) {
        log_warning("{}: {}", headline(ops[i]), outcome.result.text);
      }
    }
  }
  if (told > kMostLogged) {
    log_warning("… and {} more that flannelctl status lists", told - kMostLogged);
  }
  std::ranges::stable_sort(problems, by_key);
  report_.problems = std::move(problems);
  report_.complete = report_.complete || settled;
  return news;
}

void Reconciler::note_success(const Op& op, const OpResult& result) {
  if (result.untouched) {
    return;
  }
  ++report_.ops;
  if (removes_stale(op, scope_)) {
    log_info("{}: no node has a lease for it (--adopt-stale)", headline(op));
  } else if (log_verbosity() >= 1) {  // the text of thousands is not made for nobody
    log_verbose(1, "{}", headline(op));
  }
}

// What failed before and is tried again stays a problem until the answer is there.
void Reconciler::note_pending(const Op& op, const Outcome& outcome,
                              std::vector<Problem>& problems) {
  if (outcome.begun) {
    pending_.add(op, last_pass_);
  }
  if (const Problem* const known = find_failed(report_.problems, op)) {
    problems.push_back(*known);
  }
}

Reconciler::Failure Reconciler::note_failure(const Op& op, const Outcome& outcome) {
  const OpResult& result = outcome.result;
  Problem problem{op, result.error, result.text, 1, std::chrono::system_clock::now()};
  const bool is_new = continue_problem(report_.problems, problem);
  if (outcome.repairs > 0) {
    problem.attempts = outcome.repairs;
    problem.held_down = true;
  } else {
    count_failure(op, result);
  }
  return {std::move(problem), is_new};
}

void Reconciler::count_failure(const Op& op, const OpResult& result) {
  ++report_.failures[{op.object.index(), result.error}];
}

// What became of an op that was pending. A pass goes on with what needed it; where it failed it is
// tried again like all that failed.
void Reconciler::process_answer(const Changes::Answer& answer) {
  const auto& [op, result] = answer;
  const PendingOps::Entry* const pending = pending_.find(op.object);
  if (pending == nullptr) {
    return;
  }
  const bool repairs = pending->repairs;
  pending_.remove(op.object);
  if (result.ok()) {
    note_success(op, result);
    apply_ops({op}, have_.ours);
    if (repairs && !result.untouched) {
      count_repair(op);
      hold_down_.repaired({op.object}, Clock::now());
    }
    need_pass();
    return;
  }
  auto [problem, is_new] = note_failure(op, {.result = result});
  if (is_new) {
    log_warning("{}: {}", headline(op), result.text);
  }
  put_problem(report_.problems, std::move(problem));
  retry_at_ = std::min(retry_at_, Clock::now() + timing_.retry);
  timer_.cancel();
  if (is_new && !report_.complete) {
    need_pass();  // nothing may be unanswered now
  }
}

}  // namespace flannel

#include "reconcile/reconciler.h"

#include <fcntl.h>
#include <malloc.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <cerrno>
#include <optional>
#include <string>
#include <utility>

#include "base/log.h"
#include "reconcile/diff.h"
#include "reconcile/mirror.h"
#include "reconcile/problems.h"

namespace flannel {
namespace {

// Ops of one retry, and changes that are made to the mirror one by one.
constexpr std::size_t kFew = 64;

// Whether `op` puts back what was planned before, or removes what was not planned then either.
bool is_repair(const Op& op, const NetState& planned_before) {
  return std::visit(
      [&]<class T>(const T& row) {
        const T* planned = planned_before.of<T>().find(row.key);
        return op.verb == Op::Verb::remove ? planned == nullptr
                                           : planned != nullptr && *planned == row;
      },
      op.object);
}

}  // namespace

Reconciler::Reconciler(asio::any_io_executor executor, Kernel& kernel, Scope scope, Planner planner,
                       Timing timing)
    : timer_(executor),
      notifications_(executor, ::fcntl(kernel.notify_fd(), F_DUPFD_CLOEXEC, 0)),
      kernel_(kernel),
      scope_(std::move(scope)),
      planner_(std::move(planner)),
      timing_(timing),
      rate_limit_(timing.most_charged),
      audits_(kernel, timing.audit),
      hold_down_(timing.hold_down_first, timing.hold_down_most) {}

void Reconciler::wake() {
  need_pass();
}

void Reconciler::wake_for_changes() {
  need_pass(Need::changes);
}

void Reconciler::set_additive(bool additive) {
  additive_ = additive;
  dump_needed_.set();  // the mirror lacks what was left alone
  wake();
}

std::vector<Op> Reconciler::ops_for(const NetState& want, const NetState& have) const {
  std::vector<Op> ops = diff(want, have);
  std::erase_if(ops, [&](const Op& op) {
    const Link* link = std::get_if<Link>(&op.object);
    const bool made_anew = link != nullptr && want.of<Link>().find(link->key) != nullptr;
    return additive_ && op.verb == Op::Verb::remove && !made_anew;
  });
  return ops;
}

void Reconciler::need_pass(Need need) {
  needed_ = std::max(needed_, need);
  timer_.cancel();
}

Reconciler::Clock::time_point Reconciler::next_pass() const {
  const Clock::time_point earliest = rate_limit_.next();
  return needed_ != Need::nothing ? earliest : std::max(earliest, pass_at_);
}

Task<void> Reconciler::run() {
  dump_needed_.set();
  needed_ = Need::everything;
  for (;;) {
    const Clock::time_point now = Clock::now();
    if (next_pass() <= now) {
      pass();
      continue;
    }
    if (retry_at_ <= now) {
      retry();
      continue;
    }
    timer_.expires_at(std::min(next_pass(), retry_at_));
    boost::system::error_code woken;
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
      co_return;
    }
  }
}

void Reconciler::dump() {
  const NetState moving = moving_rows(have_.ours);
  const KindSet dumped = dump_needed_;
  kernel_.dump(scope_, dumped, have_);
  keep_moving_fields(have_.ours, moving);
  dump_needed_.reset();
  audits_.listed(dumped, Clock::now());
}

// Whether the mirror, which can be trusted, is as wanted, object by object.
bool Reconciler::is_as_planned() const {
  return report_.passes > 0 && !additive_ && dump_needed_.none() && report_.problems.empty() &&
         pending_.empty();
}

// Lists the kinds that have a time of their own where that has come; true where they are as they
// were, and no other kind is to be listed.
bool Reconciler::audits_agree() {
  const AuditSchedule::Due due = audits_.due(last_pass_);
  if (due.in_full) {
    return false;
  }
  if (due.kinds.none()) {
    return true;
  }
  const NetState rows = rows_of(have_.ours, due.kinds);
  const std::optional<FixedSettings> fixed = have_.fixed_settings;
  const std::string suffix = have_.rules_suffix;
  dump_needed_ |= due.kinds;
  dump();
  return rows_of(have_.ours, due.kinds) == rows && have_.fixed_settings == fixed &&
         have_.rules_suffix == suffix;
}

// The ops of what changed of the plan, which want_ has then.
std::optional<std::vector<Op>> Reconciler::plan_changes() {
  const std::optional<PlanDelta> delta = planner_.plan_changes(have_);
  std::optional<std::vector<Op>> ops = delta ? ops_of(*delta, want_) : std::nullopt;
  if (ops) {
    apply_ops(*ops, want_);
  }
  return ops;
}

std::vector<Op> Reconciler::plan_all(NetState& planned_before) {
  dump_needed_ |= audits_.due(last_pass_).kinds;
  if (dump_needed_.any()) {
    dump();
  }
  planned_before = std::exchange(want_, planner_.plan(have_));
  return ops_for(want_, have_.ours);
}

// When the answer of a pending op is waited for no longer.
Reconciler::Clock::time_point Reconciler::end_of_pending() const {
  return pending_.empty() ? Clock::time_point::max() : pending_.first_begun() + timing_.answer;
}

void Reconciler::pass() {
  last_pass_ = Clock::now();
  for (const Op& op : pending_.begun_by(last_pass_ - timing_.answer)) {
    process_answer({op, {.error = ETIMEDOUT, .text = "there was no answer"}});
  }
  const Need needed = std::exchange(needed_, Need::nothing);
  const bool few = needed != Need::everything && is_as_planned() && audits_agree();
  std::optional<std::vector<Op>> changes = few ? plan_changes() : std::nullopt;
  NetState planned_before;
  const bool all = !changes;
  const std::vector<Op> ops = all ? plan_all(planned_before) : std::move(*changes);
  for (const Op& op : ops) {  // until every answer is known to be good
    dump_needed_ |= kinds_around(op.object);
  }
  const std::vector<Outcome> outcomes = attempt(kernel_, ops, hold_down_, pending_, last_pass_);
  const std::vector<bool> repairs =
      all ? find_repairs(planned_before, ops, outcomes)
          : std::vector<bool>(ops.size());  // what is new in a plan puts nothing back
  for (std::size_t i = 0; i < ops.size(); ++i) {
    if (repairs[i] && outcomes[i].result.ok()) {
      count_repair(ops[i]);
    }
  }
  const KindSet news = record_outcomes(ops, outcomes);
  update_mirror(ops, outcomes, all, news);
  note_repairs(repairs, ops, outcomes);
  report_shadows();
  if (all) {
    // What thousands of peers were planned and listed with lies free between what stays.
    planned_before = {};
    ::malloc_trim(0);
  }
  schedule(news.any());
  surplus_removed_ = !additive_;
  ++report_.passes;
  report_.wanted = want_.size();
  report_.last_pass = std::chrono::system_clock::now();
  report_.last_pass_took =
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - last_pass_);
  if (on_pass) {
    on_pass();
  }
}

void Reconciler::update_mirror(const std::vector<Op>& ops, const std::vector<Outcome>& outcomes,
                               bool all, KindSet news) {
  const bool as_wanted = all && report_.problems.empty() && pending_.empty();
  // With a link that goes or changes the kernel may drop what lies on it.
  const bool links_stay = std::ranges::none_of(ops, [](const Op& op) {
    return op.verb != Op::Verb::add && std::holds_alternative<Link>(op.object);
  });
  const auto undone =
      std::ranges::count_if(outcomes, [](const Outcome& each) { return !each.result.ok(); });
  if (all && (as_wanted || links_stay) && static_cast<std::size_t>(undone) <= kFew &&
      !has_routes_of_one_key(have_)) {  // as almost always
    const NetState before = std::exchange(have_.ours, want_);
    for (std::size_t i = 0; i < ops.size(); ++i) {
      if (!outcomes[i].result.ok()) {
        put_back(ops[i], before, have_.ours);
      }
    }
    dump_needed_ = news;  // what failed for a known reason is as the mirror has it
    return;
  }
  std::vector<Op> done;
  for (std::size_t i = 0; i < ops.size(); ++i) {
    if (outcomes[i].result.ok()) {
      done.push_back(ops[i]);
    }
  }
  const KindSet unsure = unsure_after(done, have_);
  dump_needed_ = news | unsure;
  if (unsure.any()) {
    need_pass();
  }
  if (as_wanted) {
    have_.ours = want_;
    return;
  }
  const bool many = all && done.size() > kFew;
  for (const Op& op : done) {
    if (many || (all && std::holds_alternative<Link>(op.object))) {
      dump_needed_ |= kinds_around(op.object);
    }
  }
  if (!many) {
    apply_ops(done, have_.ours);
  }
}

void Reconciler::report_shadows() {
  std::vector<Shadow> now = find_shadows(want_.of<Route>(), have_.foreign_routes);
  log_changes(report_.shadows, now);
  report_.shadows = std::move(now);
}

// Which of `ops` undo what another program did.
std::vector<bool> Reconciler::find_repairs(const NetState& planned_before,
                                           const std::vector<Op>& ops,
                                           const std::vector<Outcome>& outcomes) const {
  std::vector<bool> repairs(ops.size());
  bool device_made = false;  // what lies on it was not undone by itself
  for (std::size_t i = 0; i < ops.size(); ++i) {
    const bool is_link = std::holds_alternative<Link>(ops[i].object);
    const bool may_be_left = ops[i].verb == Op::Verb::remove && !surplus_removed_;
    repairs[i] = (is_link || !device_made) && !may_be_left && is_repair(ops[i], planned_before);
    device_made = device_made || (repairs[i] && is_link && outcomes[i].result.ok() &&
                                  ops[i].verb == Op::Verb::add);
  }
  return repairs;
}

// Unless what `op` did is only done now, since it was refused before, or may have waited for
// another.
void Reconciler::count_repair(const Op& op) {
  const Problem* const problem = find_problem(report_.problems, op.object);
  const bool may_have_waited = something_waited_ && !needs_of(op.object).empty();
  if (problem != nullptr ? problem->held_down : !may_have_waited) {
    ++report_.repairs[op.object.index()];
  }
}

void Reconciler::note_repairs(const std::vector<bool>& repairs, const std::vector<Op>& ops,
                              const std::vector<Outcome>& outcomes) {
  std::vector<Object> repaired;
  for (std::size_t i = 0; i < ops.size(); ++i) {
    if (repairs[i] && outcomes[i].begun) {
      pending_.mark_repair(ops[i].object);
    } else if (repairs[i] && outcomes[i].result.ok()) {
      repaired.push_back(ops[i].object);
    }
  }
  if (!repaired.empty()) {
    hold_down_.repaired(std::move(repaired), last_pass_);
  }
}

void Reconciler::schedule(bool news) {
  const Clock::time_point now = Clock::now();
  rate_limit_.charge(last_pass_, now);
  pass_at_ = std::min({audits_.next(), hold_down_.next_end(now), end_of_pending()});
  if (news) {  // perhaps since the mirror was wrong
    pass_at_ = std::min(pass_at_, now + timing_.retry);
  }
  last_retry_ = now;
  retry_at_ = report_.problems.empty() ? Clock::time_point::max() : now + timing_.retry;
  retried_ = 0;
}

// Tries some of the ops that failed, in turn; where one goes well now, a pass does the rest.
void Reconciler::retry() {
  last_retry_ = Clock::now();
  retry_at_ = last_retry_ + timing_.retry;
  std::vector<Problem*> tried;
  std::vector<Op> ops;
  for (std::size_t n = 0; n < std::min(report_.problems.size(), kFew); ++n) {
    Problem& problem = report_.problems[retried_++ % report_.problems.size()];
    const bool waits = waits_for_pass(problem.op, problem.error);
    const bool held = hold_down_.find(problem.op.object, last_retry_) != nullptr;
    if (!waits && !held && pending_.find(problem.op.object) == nullptr) {
      tried.push_back(&problem);
      ops.push_back(problem.op);
    }
  }
  const std::vector<OpResult> results = kernel_.apply(ops);
  for (std::size_t n = 0; n < results.size(); ++n) {
    if (results[n].pending) {
      pending_.add(ops[n], last_retry_);
      pass_at_ = std::min(pass_at_, end_of_pending());
      continue;
    }
    ++tried[n]->attempts;
    if (results[n].ok()) {
      count_repair(ops[n]);
      dump_needed_ |= kinds_around(ops[n].object);
      needed_ = Need::everything;
    } else {
      count_failure(ops[n], results[n]);
    }
  }
}

// What the kernel refused it may take now that the host is another.
void Reconciler::retry_soon() {
  if (!report_.problems.empty()) {
    retry_at_ = std::min(retry_at_, last_retry_ + timing_.retry / 8);
    timer_.cancel();
  }
}

Reconciler::Preview Reconciler::preview() {
  const Snapshot now = kernel_.dump(scope_);
  const NetState want = planner_.preview(now);
  Preview preview{
      ops_for(want, now.ours), {}, now.foreign, find_shadows(want.of<Route>(), now.foreign_routes)};
  std::copy_if(now.leftovers.begin(), now.leftovers.end(), std::back_inserter(preview.leftovers),
               [&](const Route& route) { return want.of<Route>().find(route.key) == nullptr; });
  return preview;
}

ObjectState Reconciler::state_of(const Route& route) const {
  if (find_problem(report_.problems, route) != nullptr ||
      std::ranges::binary_search(report_.shadows, route.key, {}, &Shadow::ours)) {
    return ObjectState::failed;
  }
  const Route* is = have_.ours.of<Route>().find(route.key);
  return is != nullptr && *is == route ? ObjectState::present : ObjectState::pending;
}

}  // namespace flannel

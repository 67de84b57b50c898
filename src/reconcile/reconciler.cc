#include "reconcile/reconciler.h"

#include <fcntl.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <cerrno>
#include <utility>

#include "base/log.h"
#include "reconcile/diff.h"
#include "reconcile/mirror.h"

namespace flannel {
namespace {

// New problems of one pass that are written to the log one by one.
constexpr std::size_t kMostLogged = 5;

// An object is held down from its second repair in a row on; each later one is no news.
constexpr unsigned kFirstHeldDown = 2;

// Ops of one retry, and changes that are entered into the mirror one by one.
constexpr std::size_t kFew = 64;

// Without these no peer can be reached; every other object is one peer's alone. A setting of the
// device that could not be written keeps no packet back.
bool is_of_node(const Problem& problem) {
  return (std::holds_alternative<Link>(problem.op.object) && problem.error != EROFS) ||
         std::holds_alternative<Address>(problem.op.object);
}

// Whether `op` put back what was as planned before, or removed what was not planned then either.
bool is_repair(const Op& op, const NetState& planned_before) {
  return std::visit(
      [&]<class T>(const T& row) {
        const T* planned = planned_before.of<T>().find(row.key);
        return op.verb == Op::Verb::remove ? planned == nullptr
                                           : planned != nullptr && *planned == row;
      },
      op.object);
}

// What may have been an administrator's: its removal is in the log whatever the verbosity.
bool removes_stale(const Op& op, const Scope& scope) {
  const Route* route = std::get_if<Route>(&op.object);
  return scope.adopt_stale && op.verb == Op::Verb::remove && route != nullptr &&
         is_left_by_reference(scope, *route);
}

bool by_key(const Problem& a, const Problem& b) {
  return key_less(a.op.object, b.op.object);
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
      hold_down_(timing.hold_down_first, timing.hold_down_most) {}

void Reconciler::wake() {
  need_pass();
}

void Reconciler::wake_for_changes() {
  need_pass(Need::changes);
}

void Reconciler::set_additive(bool additive) {
  additive_ = additive;
  dump_needed_ = true;  // the mirror lacks what was left alone
  wake();
}

std::vector<Op> Reconciler::ops_for(const NetState& want, const NetState& have) const {
  std::vector<Op> ops = diff(want, have);
  std::erase_if(ops, [&](const Op& op) {
    const Link* link = std::get_if<Link>(&op.object);
    const bool made_anew = link != nullptr && want.links.find(link->key) != nullptr;
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
  dump_needed_ = true;
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
  have_ = kernel_.dump(scope_);
  dump_needed_ = false;
  audit_at_ = Clock::now() + timing_.audit;
}

// Whether the mirror, which can be trusted, is as wanted, object by object.
bool Reconciler::is_as_planned() const {
  return report_.passes > 0 && !additive_ && !dump_needed_ && last_pass_ < audit_at_ &&
         report_.problems.empty();
}

// The ops of what changed of the plan, which want_ has then.
std::optional<std::vector<Op>> Reconciler::plan_changes() {
  const std::optional<PlanDelta> delta = planner_.plan_changes(have_);
  std::optional<std::vector<Op>> ops = delta ? ops_of(*delta, want_) : std::nullopt;
  if (ops) {
    enter(*ops, want_);
  }
  return ops;
}

std::vector<Op> Reconciler::plan_all(NetState& planned_before) {
  if (dump_needed_ || audit_at_ <= last_pass_) {
    dump_needed_ = true;  // also where the dump throws
    dump();
  }
  planned_before = std::exchange(want_, planner_.plan(have_));
  return ops_for(want_, have_.ours);
}

void Reconciler::pass() {
  last_pass_ = Clock::now();
  const bool few = std::exchange(needed_, Need::nothing) == Need::changes && is_as_planned();
  std::optional<std::vector<Op>> changes = few ? plan_changes() : std::nullopt;
  NetState planned_before;
  const bool all = !changes;
  const std::vector<Op> ops = all ? plan_all(planned_before) : std::move(*changes);
  dump_needed_ = !ops.empty();  // until every answer is known to be good
  const std::vector<Outcome> outcomes = attempt(kernel_, ops, hold_down_, last_pass_);
  const bool news = judge(ops, outcomes);
  update_mirror(ops, outcomes, all, news);
  if (all) {  // what is new in a plan puts nothing back
    note_repairs(planned_before, ops, outcomes);
  }
  report_shadows();
  schedule(news);
  ++report_.passes;
  report_.wanted = want_.size();
  report_.last_pass = std::chrono::system_clock::now();
  report_.last_pass_took =
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - last_pass_);
  if (on_pass) {
    on_pass();
  }
}

// True where something failed that did not fail before, or not for this reason.
bool Reconciler::judge(const std::vector<Op>& ops, const std::vector<Outcome>& outcomes) {
  std::vector<Problem> problems;
  std::vector<std::size_t> place(ops.size());  // of the problem of each op that failed
  std::size_t news = 0;
  report_.pending = 0;
  for (std::size_t i = 0; i < ops.size(); ++i) {
    const OpResult& result = outcomes[i].result;
    if (result.ok()) {
      ++report_.ops;
      if (removes_stale(ops[i], scope_)) {
        log_info("{}: no node has a lease for it (--adopt-stale)", to_text(ops[i]));
      } else if (log_verbosity() >= 1) {  // the text of thousands is not made for nobody
        log_verbose(1, "{}", to_text(ops[i]));
      }
      continue;
    }
    ++report_.pending;
    if (outcomes[i].waits_for) {
      ++problems[place[*outcomes[i].waits_for]].waiting;
      continue;
    }
    place[i] = problems.size();
    problems.push_back({ops[i], result.error, result.text, 1, std::chrono::system_clock::now()});
    const bool is_new = adopt_history(problems.back());
    if (const unsigned repairs = outcomes[i].repairs; repairs > 0) {
      problems.back().attempts = repairs;
      if (repairs == kFirstHeldDown) {
        log_warning("{}: {}", to_text(ops[i]), result.text);
      }
    } else if (is_new && ++news <= kMostLogged) {
      log_warning("{}: {}", to_text(ops[i]), result.text);
    }
  }
  if (news > kMostLogged) {
    log_warning("… and {} more that flannelctl status lists", news - kMostLogged);
  }
  std::ranges::stable_sort(problems, by_key);
  report_.problems = std::move(problems);
  report_.complete = report_.complete || std::ranges::none_of(report_.problems, is_of_node);
  return news > 0;
}

// Since when there has been the same problem, and how often it was tried; true where it is new.
bool Reconciler::adopt_history(Problem& problem) const {
  const auto [first, last] = std::ranges::equal_range(report_.problems, problem, by_key);
  const auto known =
      std::find_if(first, last, [&](const Problem& p) { return p.op == problem.op; });
  if (known == last) {
    return true;
  }
  problem.since = known->since;
  problem.attempts += known->attempts;
  return known->error != problem.error;
}

void Reconciler::update_mirror(const std::vector<Op>& ops, const std::vector<Outcome>& outcomes,
                               bool all, bool news) {
  if (all && report_.problems.empty()) {
    have_.ours = want_;
    dump_needed_ = false;
    return;
  }
  std::vector<Op> done;
  for (std::size_t i = 0; i < ops.size(); ++i) {
    if (outcomes[i].result.ok()) {
      done.push_back(ops[i]);
    }
  }
  // What failed for a known reason is as the mirror has it.
  const bool many = all && (done.size() > kFew || std::ranges::any_of(done, [](const Op& op) {
                              return std::holds_alternative<Link>(op.object);
                            }));
  dump_needed_ = news || many;
  if (!dump_needed_) {
    enter(done, have_.ours);
  }
}

void Reconciler::report_shadows() {
  std::vector<Shadow> now = find_shadows(want_.routes, have_.foreign_routes);
  log_changes(report_.shadows, now);
  report_.shadows = std::move(now);
}

void Reconciler::note_repairs(const NetState& planned_before, const std::vector<Op>& ops,
                              const std::vector<Outcome>& outcomes) {
  std::vector<Object> repaired;
  bool device_made = false;  // what lies on it was not undone by itself
  for (std::size_t i = 0; i < ops.size(); ++i) {
    const bool is_link = std::holds_alternative<Link>(ops[i].object);
    if (outcomes[i].result.ok() && (is_link || !device_made) && is_repair(ops[i], planned_before)) {
      repaired.push_back(ops[i].object);
      device_made = device_made || (is_link && ops[i].verb == Op::Verb::add);
    }
  }
  if (!repaired.empty()) {
    hold_down_.repaired(std::move(repaired), last_pass_);
  }
}

void Reconciler::schedule(bool news) {
  const Clock::time_point now = Clock::now();
  rate_limit_.charge(last_pass_, now);
  pass_at_ = std::min(audit_at_, hold_down_.next_end(now));
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
    // A route that is in the way tells when it goes.
    const bool waits = problem.error == EEXIST && std::holds_alternative<Route>(problem.op.object);
    if (!waits && hold_down_.find(problem.op.object, last_retry_) == nullptr) {
      tried.push_back(&problem);
      ops.push_back(problem.op);
    }
  }
  const std::vector<OpResult> results = kernel_.apply(ops);
  for (std::size_t n = 0; n < results.size(); ++n) {
    ++tried[n]->attempts;
    if (results[n].ok()) {
      dump_needed_ = true;
      needed_ = Need::everything;
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
      ops_for(want, now.ours), {}, now.foreign, find_shadows(want.routes, now.foreign_routes)};
  std::copy_if(now.leftovers.begin(), now.leftovers.end(), std::back_inserter(preview.leftovers),
               [&](const Route& route) { return want.routes.find(route.key) == nullptr; });
  return preview;
}

// The problem of the object's key, if there is one.
const Problem* Reconciler::find_problem(const Object& object) const {
  const auto found = std::ranges::lower_bound(
      report_.problems, object, key_less,
      [](const Problem& problem) -> const Object& { return problem.op.object; });
  const bool is_its = found != report_.problems.end() && !key_less(object, found->op.object);
  return is_its ? &*found : nullptr;
}

ObjectState Reconciler::state_of(const Route& route) const {
  if (find_problem(route) != nullptr ||
      std::ranges::binary_search(report_.shadows, route.key, {}, &Shadow::ours)) {
    return ObjectState::failed;
  }
  const Route* is = have_.ours.routes.find(route.key);
  return is != nullptr && *is == route ? ObjectState::present : ObjectState::pending;
}

}  // namespace flannel

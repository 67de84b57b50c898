#include "reconcile/reconciler.h"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>

#include "base/log.h"
#include "reconcile/diff.h"

namespace flannel {
namespace {

// The same repair needed again this soon after it succeeded: somebody undoes it.
constexpr std::chrono::seconds kQuarrelWindow{1};

// Passes may take this part of the time. When nodes join one after the other each is to be reached
// at once, but a flood of events must not keep a processor busy.
constexpr int kShare = 5;

// New problems of one pass that are written to the log one by one.
constexpr std::size_t kMostLogged = 5;

template <class T>
bool absorb_row(const Change& change, const T& row, Table<T>& have, const Table<T>& want) {
  if (change.removed) {
    have.remove(row.key);
  } else if (const T* known = have.find(row.key); known == nullptr || *known != row) {
    have.put(row);
  }
  const T* is = have.find(row.key);
  const T* should = want.find(row.key);
  return is == nullptr || should == nullptr ? is != should : *is != *should;
}

// With a nexthop go its routes, with a device's last IPv4 address all IPv4 routes by it, and the
// kernel tells of neither. What we removed ourselves is not in the mirror any more.
bool takes_others_along(const Change& change, const NetState& have) {
  const Nexthop* nexthop = std::get_if<Nexthop>(&change.object);
  const Address* address = std::get_if<Address>(&change.object);
  return change.removed && ((nexthop != nullptr && have.nexthops.find(nexthop->key) != nullptr) ||
                            (address != nullptr && have.addresses.find(address->key) != nullptr));
}

// Without these no peer can be reached; every other object is one peer's alone.
bool is_of_node(const Problem& problem) {
  return std::holds_alternative<Link>(problem.op.object) ||
         std::holds_alternative<Address>(problem.op.object);
}

struct Absorber {
  const Change& change;
  NetState& have;
  const NetState& want;

  bool operator()(const Link& row) const { return absorb_row(change, row, have.links, want.links); }
  bool operator()(const Address& row) const {
    return absorb_row(change, row, have.addresses, want.addresses);
  }
  bool operator()(const Neighbour& row) const {
    return absorb_row(change, row, have.neighbours, want.neighbours);
  }
  bool operator()(const FdbEntry& row) const { return absorb_row(change, row, have.fdb, want.fdb); }
  bool operator()(const Nexthop& row) const {
    return absorb_row(change, row, have.nexthops, want.nexthops);
  }
  bool operator()(const Route& row) const {
    return absorb_row(change, row, have.routes, want.routes);
  }
};

}  // namespace

Reconciler::Reconciler(asio::any_io_executor executor, Kernel& kernel, Scope scope, Planner planner,
                       Timing timing)
    : timer_(executor),
      notifications_(executor, ::dup(kernel.notify_fd())),
      kernel_(kernel),
      scope_(std::move(scope)),
      planner_(std::move(planner)),
      timing_(timing),
      retry_(timing.retry_first, timing.retry_most),
      quarrel_(timing.retry_first, timing.retry_most) {}

void Reconciler::wake() {
  hold_ = std::chrono::milliseconds(0);
  need_pass();
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

void Reconciler::need_pass() {
  pass_needed_ = true;
  timer_.cancel();
}

Reconciler::Clock::time_point Reconciler::next_pass() const {
  const Clock::time_point earliest =
      std::max(paid_until_ - 2 * timing_.between_passes, last_pass_ + hold_);
  return std::max(earliest,
                  pass_needed_ ? Clock::time_point::min() : std::min(retry_at_, audit_at_));
}

Task<void> Reconciler::run() {
  dump_needed_ = true;
  pass_needed_ = true;
  for (;;) {
    const Clock::time_point at = next_pass();
    if (at <= Clock::now()) {
      pass();
      continue;
    }
    timer_.expires_at(at);
    boost::system::error_code woken;
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    const asio::cancellation_state state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) {
      co_return;
    }
  }
}

Task<void> Reconciler::follow_kernel() {
  for (;;) {
    co_await notifications_.async_wait(asio::posix::stream_descriptor::wait_read,
                                       asio::use_awaitable);
    absorb_changes();
  }
}

void Reconciler::absorb_changes() {
  absorb(kernel_.changes(scope_));
}

void Reconciler::absorb(const Changes& changes) {
  bool differs = changes.dump_needed;
  dump_needed_ = dump_needed_ || changes.dump_needed;
  for (const Change& change : changes.ours) {
    dump_needed_ = dump_needed_ || takes_others_along(change, have_.ours);
    differs = std::visit(Absorber{change, have_.ours, want_}, change.object) || differs;
  }
  // What the kernel refused it may take now that the host is another.
  const bool worth_another_try = !changes.host.empty() && !report_.problems.empty();
  if ((differs || worth_another_try) && report_.passes > 0) {
    need_pass();
  }
  if (!changes.host.empty() && on_host_changed) {
    on_host_changed(changes.host);
  }
}

void Reconciler::dump() {
  have_ = kernel_.dump(scope_);
  dump_needed_ = false;
  audit_at_ = Clock::now() + timing_.audit;
}

void Reconciler::pass() {
  last_pass_ = Clock::now();
  pass_needed_ = false;
  if (dump_needed_ || audit_at_ <= last_pass_) {
    dump_needed_ = true;  // also where the dump throws
    dump();
  }
  want_ = planner_(have_);
  const std::vector<Op> ops = ops_for(want_, have_.ours);
  dump_needed_ = !ops.empty();  // until every answer is known to be good
  judge(ops, kernel_.apply(ops));
  schedule(ops);
  pay();
  ++report_.passes;
  report_.wanted = want_.size();
  report_.last_pass = std::chrono::system_clock::now();
  report_.last_pass_took =
      std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - last_pass_);
  if (on_pass) {
    on_pass();
  }
}

void Reconciler::pay() {
  const Clock::time_point now = Clock::now();
  const Clock::duration most = timing_.between_passes;
  paid_until_ =
      std::max(paid_until_, now) + std::clamp(kShare * (now - last_pass_), most / 20, most);
}

void Reconciler::judge(const std::vector<Op>& ops, const std::vector<OpResult>& results) {
  std::vector<Problem> problems;
  std::size_t news = 0;
  for (std::size_t i = 0; i < ops.size(); ++i) {
    if (results[i].ok()) {
      ++report_.ops;
      log_verbose(1, "{}", to_text(ops[i]));
      continue;
    }
    Problem problem{ops[i], results[i].error, results[i].text, 1, std::chrono::system_clock::now()};
    const auto known = std::find_if(report_.problems.begin(), report_.problems.end(),
                                    [&](const Problem& p) { return p.op == ops[i]; });
    if (known != report_.problems.end()) {
      problem.since = known->since;
      problem.attempts += known->attempts;
    }
    if ((known == report_.problems.end() || known->error != problem.error) &&
        ++news <= kMostLogged) {
      log_warning("{}: {}", to_text(ops[i]), problem.text);
    }
    problems.push_back(std::move(problem));
  }
  if (news > kMostLogged) {
    log_warning("… and {} more that flannelctl status lists", news - kMostLogged);
  }
  report_.problems = std::move(problems);
  report_.pending = report_.problems.size();
  if (report_.problems.empty()) {
    have_.ours = want_;
    dump_needed_ = false;
  }
  report_.complete =
      report_.complete || std::none_of(report_.problems.begin(), report_.problems.end(),
                                       [](const Problem& problem) { return is_of_node(problem); });
}

void Reconciler::schedule(const std::vector<Op>& ops) {
  retry_at_ = Clock::time_point::max();
  if (!report_.problems.empty()) {
    retry_at_ = last_pass_ + retry_.next();
  } else {
    retry_.reset();
  }
  if (ops.empty()) {
    return;
  }
  // Somebody who undoes our work at once would otherwise be answered ten times a second for ever.
  const Repair repair{ops.size(), ops.front(), ops.back()};
  const Clock::duration window = std::max<Clock::duration>(kQuarrelWindow, 2 * hold_);
  if (repair == last_repair_ && last_pass_ - repaired_at_ < window) {
    hold_ = quarrel_.next();
  } else {
    quarrel_.reset();
    hold_ = std::chrono::milliseconds(0);
  }
  repaired_at_ = last_pass_;
  last_repair_ = repair;
}

Reconciler::Preview Reconciler::preview() {
  const Snapshot now = kernel_.dump(scope_);
  const NetState want = planner_(now);
  Preview preview{ops_for(want, now.ours), {}};
  std::copy_if(now.leftovers.begin(), now.leftovers.end(), std::back_inserter(preview.leftovers),
               [&](const Route& route) { return want.routes.find(route.key) == nullptr; });
  return preview;
}

ObjectState Reconciler::state_of(const Route& route) const {
  for (const Problem& problem : report_.problems) {
    const Route* failed = std::get_if<Route>(&problem.op.object);
    if (failed != nullptr && failed->key == route.key) {
      return ObjectState::failed;
    }
  }
  const Route* is = have_.ours.routes.find(route.key);
  return is != nullptr && *is == route ? ObjectState::present : ObjectState::pending;
}

}  // namespace flannel

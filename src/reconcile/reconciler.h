// Makes the kernel agree with the plan, whatever happened to it.
//
// One loop: plan, diff, apply. It runs when the plan's inputs changed (wake), when a notification
// says that something of ours is not as planned, and as an audit with a fresh dump every five
// minutes; kinds that the kernel does not notify of are listed more often, by themselves. Between
// passes it holds a mirror of what the kernel has; whenever the mirror may be wrong - overrun, link
// events, an op that failed for a new reason - the next pass dumps.
//
// What the kernel refuses is tried again by itself, some ops at a time: that costs a system call or
// two, so that it can be done often, and the end of a cause that nobody tells of is noticed soon.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <vector>

#include "base/rate_limit.h"
#include "base/task.h"
#include "kernel/kernel.h"
#include "reconcile/attempt.h"
#include "reconcile/audit_schedule.h"
#include "reconcile/diff.h"
#include "reconcile/hold_down.h"
#include "reconcile/pending.h"
#include "reconcile/report.h"

namespace flannel {

class Reconciler {
 public:
  using Clock = std::chrono::steady_clock;
  // What the kernel should have, given what it has. Only asked when it is safe to remove what is
  // not planned, that is, when the peers are completely known.
  struct Planner {
    std::function<NetState(const Snapshot&)> plan;
    // How the plan differs from what this or plan() said last; nothing where only plan() tells.
    std::function<std::optional<PlanDelta>(const Snapshot&)> plan_changes = [](const Snapshot&) {
      return std::optional<PlanDelta>();
    };
    // The same as plan(), for somebody who only looks.
    std::function<NetState(const Snapshot&)> preview = plan;
  };

  struct Timing {
    // The most that a pass is charged (RateLimit).
    std::chrono::milliseconds most_charged{100};
    // Between two tries at what the kernel refused.
    std::chrono::milliseconds retry{150};
    // The first and the longest hold-down of what another program keeps undoing: in the end that
    // is as often as the Go flannel looks at its rules by default.
    std::chrono::milliseconds hold_down_first{100};
    std::chrono::milliseconds hold_down_most{5'000};
    std::chrono::milliseconds audit{300'000};  // of kinds for which the kernel names no other time
    // The most that a pending op's answer may take: more than any part needs that does not lose it.
    std::chrono::milliseconds answer{180'000};
  };

  // `kernel` and what `planner` refers to outlive this object.
  Reconciler(asio::any_io_executor executor, Kernel& kernel, Scope scope, Planner planner,
             Timing timing);

  // The plan's inputs changed: plan again soon.
  void wake();
  // They changed so that Planner::plan_changes may tell what it means. Where all is as planned,
  // only that is looked at; otherwise everything, as after wake().
  void wake_for_changes();

  // With `additive` a pass puts what is missing and removes nothing, for as long as the plan may
  // not be the whole truth.
  void set_additive(bool additive);

  // Passes until cancelled; throws when the kernel's socket breaks, and may then be run again.
  Task<void> run();
  // Follows notifications until cancelled; runs beside run().
  Task<void> follow_kernel();

  // One pass now, as run() would make it.
  void pass();
  // Looks at what the kernel notified of, as follow_kernel() would.
  void process_notifications();
  // What a pass with a fresh dump would do; nothing is written.
  struct Preview {
    std::vector<Op> ops;
    // What no pass touches (Snapshot).
    std::vector<Route> leftovers;
    std::vector<Object> foreign;
    std::vector<Shadow> shadows;
  };
  Preview preview();

  const Report& report() const { return report_; }
  // Whether one wanted object is as wanted.
  ObjectState state_of(const Route& route) const;
  const NetState& wanted() const { return want_; }
  // What the kernel has, as far as is known.
  const Snapshot& mirror() const { return have_; }
  const PendingOps& under_way() const { return pending_; }

  // Called after each pass, and when the host's interfaces, addresses or routes changed.
  std::function<void()> on_pass;
  std::function<void(const HostChanges& changes)> on_host_changed;

 private:
  enum class Need { nothing, changes, everything };
  void need_pass(Need need = Need::everything);
  void dump();
  bool is_as_planned() const;
  bool audits_agree();
  std::optional<std::vector<Op>> plan_changes();
  std::vector<Op> plan_all(NetState& planned_before);
  std::vector<Op> ops_for(const NetState& want, const NetState& have) const;
  void process(const Changes& changes);
  void process_answer(const Changes::Answer& answer);
  bool process_foreign(const Changes& changes);
  void report_shadows();
  bool calls_for_pass(const Change& change);
  bool leads_our_traffic(const Dev& dev);
  KindSet record_outcomes(const std::vector<Op>& ops, const std::vector<Outcome>& outcomes);
  void note_success(const Op& op, const OpResult& result);
  void note_pending(const Op& op, const Outcome& outcome, std::vector<Problem>& problems);
  struct Failure {
    Problem problem;
    bool is_new;  // it did not fail before, or not for this reason
  };
  Failure note_failure(const Op& op, const Outcome& outcome);
  void count_failure(const Op& op, const OpResult& result);
  void update_mirror(const std::vector<Op>& ops, const std::vector<Outcome>& outcomes, bool all,
                     KindSet news);
  std::vector<bool> find_repairs(const NetState& planned_before, const std::vector<Op>& ops,
                                 const std::vector<Outcome>& outcomes) const;
  void count_repair(const Op& op);
  void note_repairs(const std::vector<bool>& repairs, const std::vector<Op>& ops,
                    const std::vector<Outcome>& outcomes);
  void schedule(bool news);
  void retry();
  void retry_soon();
  Clock::time_point next_pass() const;
  Clock::time_point end_of_pending() const;

  asio::steady_timer timer_;
  asio::posix::stream_descriptor notifications_;
  Kernel& kernel_;
  const Scope scope_;
  const Planner planner_;
  const Timing timing_;

  Snapshot have_;  // the mirror
  NetState want_;  // of the last pass
  KindSet dump_needed_ = all_kinds();
  Need needed_ = Need::nothing;
  bool additive_ = false;
  // Of the last pass: it removed what was surplus; something was not tried, for want of another.
  bool surplus_removed_ = false, something_waited_ = false;
  Clock::time_point last_pass_{};
  RateLimit rate_limit_;
  AuditSchedule audits_;
  Clock::time_point pass_at_{};  // the next pass where nothing asks for an earlier one
  HoldDown hold_down_;
  PendingOps pending_;
  Clock::time_point last_retry_{};
  Clock::time_point retry_at_ = Clock::time_point::max();
  std::size_t retried_ = 0;  // problems, since the last pass: where to go on in their list
  Report report_;
};

}  // namespace flannel

// Reconciler: what the kernel notifies of.

#include <algorithm>
#include <set>

#include "reconcile/mirror.h"
#include "reconcile/problems.h"
#include "reconcile/reconciler.h"

namespace flannel {

Task<void> Reconciler::follow_kernel() {
  for (;;) {
    co_await notifications_.async_wait(asio::posix::stream_descriptor::wait_read,
                                       asio::use_awaitable);
    process_notifications();
  }
}

void Reconciler::process_notifications() {
  process(kernel_.changes(scope_));
}

void Reconciler::process(const Changes& changes) {
  for (const Changes::Answer& answer : changes.answers) {
    process_answer(answer);
  }
  bool differs = changes.dump_needed.any();
  const std::set<Route::Key> passing = passing_routes(changes.ours, have_.ours, want_);
  for (const Change& change : changes.ours) {
    const Route* route = std::get_if<Route>(&change.object);
    if (route == nullptr || !passing.contains(route->key)) {
      differs = calls_for_pass(change) || differs;
    }
  }
  for (const Dev& dev : changes.host.links) {
    differs = differs || leads_our_traffic(dev);
  }
  dump_needed_ |= kinds_around(changes.dump_needed);
  differs = process_foreign(changes) || differs;
  if (differs && report_.passes > 0) {
    need_pass();
  }
  if (!changes.host.empty()) {
    retry_soon();
    if (on_host_changed) {
      on_host_changed(changes.host);
    }
  }
}

// True where only a dump tells what there is now: the kernel drops the routes of a link that goes
// down without a word.
bool Reconciler::process_foreign(const Changes& changes) {
  bool told = report_.shadows.empty() || changes.host.links.empty();
  for (const Change& change : changes.foreign_routes) {
    told = record_foreign(change, have_.foreign_routes) && told;
  }
  dump_needed_ |= told ? KindSet() : kinds<Route>();
  if (told && !changes.foreign_routes.empty()) {
    report_shadows();
  }
  return !told;
}

bool Reconciler::calls_for_pass(const Change& change) {
  dump_needed_ |= needs_dump(change, have_.ours) ? kinds_around(change.object) : KindSet();
  const bool news = is_news(change, have_.ours);
  const bool differs = record(change, have_.ours, want_);
  // What is held down and reported already has its pass when the hold-down ends.
  const bool held_down = hold_down_.find(change.object, Clock::now()) != nullptr;
  // What failed is tried again by itself: that it is as it was is no reason to do so at once.
  const Problem* const problem = find_problem(report_.problems, change.object);
  const bool retried = problem != nullptr && !waits_for_pass(problem->op, problem->error);
  return differs && !(held_down && problem != nullptr) && (news || !retried);
}

// With a device that goes down, or its last address, the kernel drops the routes by it.
bool Reconciler::leads_our_traffic(const Dev& dev) {
  const auto by_dev = [&dev](const auto& row) { return row.dev == dev; };
  const bool leads = std::ranges::any_of(have_.ours.of<Nexthop>(), by_dev) ||
                     std::ranges::any_of(have_.ours.of<Route>(), by_dev);
  dump_needed_ |= leads ? kinds<Nexthop, Route>() : KindSet();
  return leads;
}

}  // namespace flannel

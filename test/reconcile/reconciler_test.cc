// The reconciler on the fake kernel: whatever happens, it ends with the kernel as planned.

#include <linux/rtnetlink.h>

#include <cerrno>

#include "reconcile/diff.h"
#include "test/reconcile/reconciler_fixture.h"

namespace flannel {
namespace {

using std::chrono::milliseconds;

TEST_F(ReconcilerTest, BringsAnEmptyKernelToThePlan) {
  start();
  EXPECT_TRUE(converges());
  EXPECT_EQ(reconciler->report().ops, want.size());
  EXPECT_TRUE(reconciler->report().complete);
  EXPECT_TRUE(reconciler->preview().ops.empty());
}

TEST_F(ReconcilerTest, WritesNothingWhereNothingDiffers) {
  kernel.state = want;
  start();
  EXPECT_TRUE(converges());
  EXPECT_TRUE(kernel.applied.empty());
}

TEST_F(ReconcilerTest, AnswersALeaseEventWithItsDifferenceAloneAndNoDump) {
  start();
  ASSERT_TRUE(converges());
  io.run_for(milliseconds(20));  // our own echo
  kernel.applied.clear();
  want = overlay(4);
  const std::uint64_t passes = reconciler->report().passes;
  kernel.dumps = 0;
  reconciler->wake();
  ASSERT_TRUE(run_until([&] { return reconciler->report().passes > passes; }));
  EXPECT_EQ(kernel.dumps, 0U);
  EXPECT_EQ(kernel.applied.size(), 4U);
  EXPECT_TRUE(converges());
}

TEST_F(ReconcilerTest, ARemovedRouteThatTheReferenceMayHaveLeftIsInTheLog) {
  scope.adopt_stale = true;
  Route stale;
  stale.key.dst = *Prefix::parse("10.5.200.0/24");
  stale.protocol = RTPROT_BOOT;
  stale.dev = "eth0";
  stale.via = *IpAddr::parse("198.18.0.9");
  kernel.state.of<Route>().put(stale);
  testing::internal::CaptureStderr();
  start();
  EXPECT_TRUE(converges());
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("10.5.200.0/24 via 198.18.0.9"), std::string::npos) << log;
}

// What the planner tells of a change alone, where all else is as planned.
class ReconcilerChangesTest : public ReconcilerTest {
 protected:
  Reconciler::Planner planner() {
    return {.plan =
                [this](const Snapshot&) {
                  ++plans;
                  planned = want;
                  return want;
                },
            .plan_changes = [this](const Snapshot&) -> std::optional<PlanDelta> {
              PlanDelta delta{planned, want};
              const auto same = [](auto& table, const auto& other) {
                table.remove_if([&](const auto& row) {
                  const auto* is = other.find(row.key);
                  return is != nullptr && *is == row;
                });
              };
              for_each_table([&](auto& gone, const auto& now) { same(gone, now); }, delta.gone,
                             want);
              for_each_table([&](auto& come, const auto& was) { same(come, was); }, delta.come,
                             planned);
              delta.gone.of<Link>() = delta.come.of<Link>() = want.of<Link>();
              delta.gone.of<Address>() = delta.come.of<Address>() = want.of<Address>();
              planned = want;
              return delta;
            }};
  }
  void change(NetState to, Reconciler& one) {
    want = std::move(to);
    one.wake_for_changes();
    one.pass();
    one.process_notifications();
  }

  unsigned plans = 0;
  NetState planned;
  Reconciler one{io.get_executor(), kernel, scope, planner(), {}};
};

TEST_F(ReconcilerChangesTest, AreAppliedWithoutPlanningAndComparingTheRest) {
  one.pass();
  one.process_notifications();
  one.pass();
  plans = kernel.dumps = 0;
  NetState moved = overlay(5);
  FdbEntry entry = *moved.of<FdbEntry>().begin();
  entry.remote = *IpAddr::parse("198.18.9.9");
  moved.of<FdbEntry>().put(entry);
  for (const NetState& next : {overlay(4), overlay(2), moved, overlay(1)}) {
    change(next, one);
    EXPECT_EQ(to_text(kernel.state), to_text(want));
  }
  EXPECT_EQ(plans, 0U);
  EXPECT_EQ(kernel.dumps, 0U);
  EXPECT_EQ(one.report().wanted, want.size());
  EXPECT_TRUE(one.preview().ops.empty());
}

// As the kernel does without a word (net/ipv4/fib_frontend.c, fib_disable_ip).
TEST_F(ReconcilerChangesTest, TheRoutesThatWentWithTheLastAddressOfADeviceAreBack) {
  one.pass();
  one.process_notifications();
  one.pass();
  kernel.outside({Op::Verb::remove, *want.of<Address>().begin()});
  kernel.state.of<Route>() = {};
  one.process_notifications();
  one.pass();
  EXPECT_EQ(to_text(kernel.state), to_text(want));
}

TEST_F(ReconcilerChangesTest, KindsListedAtTimesOfTheirOwnArePlannedForOnlyWhereTheyDiffer) {
  kernel.audit_list = {{all_kinds() & ~kinds<Sysctl>(), std::nullopt},
                       {kinds<Sysctl>(), milliseconds(0)}};
  Reconciler each{io.get_executor(), kernel, scope, planner(), {}};
  each.pass();
  each.process_notifications();
  plans = 0;
  kernel.listed_kinds.reset();
  change(overlay(2), each);
  EXPECT_EQ(plans, 0U);
  EXPECT_EQ(kernel.listed_kinds, kinds<Sysctl>());
  kernel.outside({Op::Verb::change, Sysctl{{"flannel.1", std::string(kAcceptRa)}, "1"}});
  each.pass();
  EXPECT_EQ(plans, 1U);
  EXPECT_EQ(to_text(kernel.state), to_text(want));
}

TEST_F(ReconcilerChangesTest, AfterOneFailedAllIsPlannedAgainUntilItIsThere) {
  one.pass();
  one.process_notifications();
  one.pass();
  plans = 0;
  bool refuses = true;
  kernel.fail = [&](const Op& op, std::size_t) {
    return refuses && op.object == Object(*std::prev(want.of<Nexthop>().end())) ? ENOBUFS : 0;
  };
  change(overlay(4), one);
  EXPECT_EQ(plans, 0U);
  ASSERT_EQ(one.report().problems.size(), 1U);
  EXPECT_EQ(one.report().problems[0].waiting, 1U);
  change(overlay(5), one);
  EXPECT_EQ(plans, 1U);
  refuses = false;
  change(overlay(6), one);
  EXPECT_EQ(plans, 2U);
  EXPECT_TRUE(one.report().problems.empty());
  EXPECT_EQ(to_text(kernel.state), to_text(want));
  change(overlay(3), one);
  EXPECT_EQ(plans, 2U);
  EXPECT_EQ(to_text(kernel.state), to_text(want));
}

TEST_F(ReconcilerChangesTest, WhatSomebodyDidMeanwhileIsPutRightInTheSamePass) {
  one.pass();
  one.process_notifications();
  one.pass();
  kernel.outside({Op::Verb::remove, *want.of<Neighbour>().begin()});
  one.process_notifications();
  change(overlay(4), one);
  EXPECT_EQ(to_text(kernel.state), to_text(want));
}

// Somebody removes one object of each kind, or the device, or takes it down.
TEST_F(ReconcilerTest, HealsWhateverIsTakenAway) {
  start();
  ASSERT_TRUE(converges());
  Link down = *want.of<Link>().begin();
  down.up = false;
  Link without_ipv6 = *want.of<Link>().begin();
  without_ipv6.mtu = 1000;
  Neighbour wrong = *want.of<Neighbour>().begin();
  wrong.mac = Mac::local(0x999);
  const Op sabotage[] = {
      {Op::Verb::remove, *want.of<Link>().begin()},
      {Op::Verb::change, down},
      {Op::Verb::change, without_ipv6},
      {Op::Verb::remove, *want.of<Address>().begin()},
      {Op::Verb::remove, *want.of<Neighbour>().begin()},
      {Op::Verb::remove, *want.of<FdbEntry>().begin()},
      {Op::Verb::remove, *want.of<Nexthop>().begin()},
      {Op::Verb::remove, *want.of<Route>().begin()},
      {Op::Verb::change, wrong},
  };
  for (const Op& op : sabotage) {
    ASSERT_TRUE(kernel.outside(op).ok()) << to_text(op);
    EXPECT_TRUE(converges()) << to_text(op) << "\nleft:\n" << to_text(kernel.state);
  }
}

TEST_F(ReconcilerTest, HealsWhatItWasNotToldOf) {
  audit = milliseconds(20);
  start();
  ASSERT_TRUE(converges());
  kernel.state.of<Route>() = {};
  EXPECT_TRUE(converges());
}

TEST_F(ReconcilerTest, HealsAfterLostNotifications) {
  start();
  ASSERT_TRUE(converges());
  kernel.lose_notifications();
  ASSERT_TRUE(kernel.outside({Op::Verb::remove, *want.of<Route>().begin()}).ok());
  EXPECT_TRUE(converges());
}

// Parts other than the one whose notifications were lost have kinds that lie on devices.
TEST_F(ReconcilerTest, WhatLiesOnADeviceThatWentUnseenIsMadeAnewWithIt) {
  start();
  ASSERT_TRUE(converges());
  kernel.lose_notifications();
  const Link device = *want.of<Link>().begin();
  ASSERT_TRUE(kernel.outside({Op::Verb::remove, device}).ok());
  EXPECT_TRUE(converges());
  kernel.lose_notifications();
  ASSERT_TRUE(kernel.outside({Op::Verb::remove, device}).ok());
  ASSERT_TRUE(kernel.outside({Op::Verb::add, device}).ok());
  EXPECT_TRUE(converges());
}

TEST_F(ReconcilerTest, RemovesWhatIsOursAndNotPlannedAndNothingElse) {
  kernel.state = overlay(5);
  Route foreign;
  foreign.key.dst = *Prefix::parse("10.77.0.0/16");
  foreign.dev = "eth0";
  foreign.protocol = 4;
  kernel.state.of<Route>().put(foreign);
  start();
  EXPECT_TRUE(converges());
  EXPECT_NE(kernel.state.of<Route>().find(foreign.key), nullptr);
}

// Another program undoes the same repair at once, each time.
TEST_F(ReconcilerTest, HoldsDownWhatIsUndoneAndNothingElse) {
  start();
  ASSERT_TRUE(converges());
  const Object contested = *want.of<Route>().begin();
  unsigned removed = 0;
  kernel.after = [&](const Op& op) {
    if (op.object == contested) {
      ++removed;
      kernel.outside({Op::Verb::remove, contested});
    }
  };
  kernel.outside({Op::Verb::remove, contested});
  const auto end = std::chrono::steady_clock::now() + milliseconds(100);
  bool shown = false;
  run_until([&] {
    const std::vector<Problem>& problems = reconciler->report().problems;
    shown = shown || (problems.size() == 1 && problems[0].op.object == contested &&
                      problems[0].error == EBUSY && problems[0].attempts >= 3);
    return std::chrono::steady_clock::now() > end;
  });
  EXPECT_TRUE(shown) << "in the report";
  EXPECT_GE(removed, 2U);
  EXPECT_LE(removed, 60U);  // 1 ms between passes would be 100
  EXPECT_EQ(total(reconciler->report().repairs), removed) << "each is one repair";
  const Object other = *std::prev(want.of<Route>().end());
  kernel.outside({Op::Verb::remove, other});
  EXPECT_TRUE(
      run_until([&] { return kernel.state.of<Route>().size() == want.of<Route>().size() - 1; }));
  kernel.after = {};
  EXPECT_TRUE(converges());
}

// What was there before, and stayed until it was known who the peers are.
TEST_F(ReconcilerTest, WhatIsRemovedAfterAnAdditiveTimeIsNoRepair) {
  kernel.state = overlay(5);
  Reconciler one(io.get_executor(), kernel, scope,
                 {.plan = [this](const Snapshot&) { return want; }}, {});
  one.set_additive(true);
  one.pass();
  one.pass();
  one.set_additive(false);
  one.pass();
  EXPECT_EQ(kernel.state.of<Route>().size(), want.of<Route>().size());
  EXPECT_EQ(total(one.report().repairs), 0U);
  kernel.outside({Op::Verb::remove, *want.of<Route>().begin()});
  one.process_notifications();
  one.pass();
  EXPECT_EQ(total(one.report().repairs), 1U);
}

// Somebody asks for a preview between a change and its notification.
TEST_F(ReconcilerTest, APreviewTakesNoNotificationAway) {
  kernel.state = want;
  Reconciler one(io.get_executor(), kernel, scope,
                 {.plan = [this](const Snapshot&) { return want; }}, {});
  one.pass();
  Link down = *want.of<Link>().begin();
  down.up = false;
  ASSERT_TRUE(kernel.outside({Op::Verb::change, down}).ok());
  EXPECT_FALSE(one.preview().ops.empty());
  one.process_notifications();
  one.pass();
  EXPECT_EQ(to_text(kernel.state), to_text(want));
}

// With a device of others go the routes by it, without a word.
TEST_F(ReconcilerTest, PutsBackRoutesByADeviceOfOthersThatChanged) {
  want = {};
  Route direct;
  direct.key.dst = *Prefix::parse("10.5.7.0/24");
  direct.via = *IpAddr::parse("198.18.0.7");
  direct.dev = "eth0";
  want.of<Route>().put(direct);
  start();
  ASSERT_TRUE(converges());
  kernel.state.of<Route>() = {};
  kernel.change_host({.all = false, .links = {"eth0"}, .routes = {}});
  EXPECT_TRUE(converges());
}

TEST_F(ReconcilerTest, PassesOnThatTheHostChanged) {
  start();
  ASSERT_TRUE(converges());
  bool told = false;
  reconciler->on_host_changed = [&told](const HostChanges& changes) { told = changes.all; };
  kernel.change_host({.all = true, .links = {}, .routes = {}});
  EXPECT_TRUE(run_until([&told] { return told; }));
}

TEST_F(ReconcilerTest, PreviewTellsWhatAPassWouldDoAndDoesNothing) {
  kernel.state = overlay(2);
  Reconciler one(io.get_executor(), kernel, scope,
                 {.plan = [this](const Snapshot&) { return want; }}, {});
  EXPECT_EQ(one.preview().ops, diff(want, overlay(2)));
  EXPECT_TRUE(kernel.applied.empty());
}

}  // namespace
}  // namespace flannel

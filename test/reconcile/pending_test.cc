// Ops that are answered later, and kinds that are listed at times of their own.

#include "test/reconcile/reconciler_fixture.h"

namespace flannel {
namespace {

using std::chrono::milliseconds;

bool is_link(const Op& op) {
  return std::holds_alternative<Link>(op.object);
}

TEST_F(ReconcilerTest, WhatNeedsADeviceThatIsBeingMadeWaitsAndIsNoFailure) {
  kernel.later = is_link;
  start();
  EXPECT_TRUE(run_until([&] { return reconciler->report().passes > 0; }));
  EXPECT_TRUE(kernel.applied.empty());
  EXPECT_TRUE(reconciler->report().problems.empty());
  EXPECT_EQ(total(reconciler->report().pending), want.size());
  EXPECT_FALSE(reconciler->report().complete);
  reconciler->wake();
  run_until([&] { return reconciler->report().passes > 1; });
  EXPECT_TRUE(kernel.applied.empty()) << "it is not asked for twice";

  kernel.answer();
  EXPECT_TRUE(converges());
  EXPECT_TRUE(reconciler->report().complete);
  EXPECT_EQ(std::ranges::count_if(kernel.applied, is_link), 1);
}

// As by a part whose program was lost.
TEST_F(ReconcilerTest, WhatIsNeverAnsweredIsAskedForAgain) {
  answer = milliseconds(20);
  kernel.later = is_link;
  start();
  ASSERT_TRUE(run_until([&] { return !reconciler->under_way().empty(); }));
  kernel.lose_answers();
  ASSERT_TRUE(run_until([&] { return !reconciler->report().problems.empty(); }));
  EXPECT_EQ(reconciler->report().problems[0].error, ETIMEDOUT);
  EXPECT_TRUE(is_link(reconciler->report().problems[0].op));
  EXPECT_TRUE(run_until([&] {
    kernel.answer();
    return kernel.state == want && reconciler->report().problems.empty();
  }));
}

// Soon, and no sooner than others that fail.
TEST_F(ReconcilerTest, WhatFailedLaterIsTriedAgain) {
  kernel.later = is_link;
  kernel.fail = [](const Op& op, std::size_t) { return is_link(op) ? ENOMEM : 0; };
  start();
  run_until([&] { return reconciler->report().passes > 0; });
  const auto tried = [&](unsigned tries) {
    return run_until([&] {
      kernel.answer();
      return reconciler->report().problems.size() == 1 &&
             reconciler->report().problems[0].attempts == tries;
    });
  };
  EXPECT_TRUE(tried(1));
  EXPECT_TRUE(tried(2));
  const auto passes = reconciler->report().passes;
  EXPECT_TRUE(tried(5));
  EXPECT_EQ(reconciler->report().problems[0].error, ENOMEM);
  EXPECT_EQ(reconciler->report().passes, passes) << "that it is still not there is no news";
  kernel.fail = nullptr;
  EXPECT_TRUE(run_until([&] {
    kernel.answer();
    return reconciler->report().problems.empty() && kernel.state == want;
  }));
}

// Complete means that nothing of the first pass is open: a slow firewall is waited for, one that
// fails is a problem like any other.
TEST_F(ReconcilerTest, IsCompleteWhenAllIsAnsweredIfOnlyWithAFailure) {
  const auto is_route = [](const Op& op) { return std::holds_alternative<Route>(op.object); };
  for (const int error : {0, EPERM}) {
    kernel.state = {};
    kernel.later = is_route;
    kernel.fail = [&](const Op& op, std::size_t) { return is_route(op) ? error : 0; };
    start();
    ASSERT_TRUE(run_until([&] { return reconciler->report().passes > 0; }));
    reconciler->wake();
    ASSERT_TRUE(run_until([&] { return reconciler->report().passes > 1; }));
    EXPECT_FALSE(reconciler->report().complete);
    EXPECT_TRUE(is_route(reconciler->under_way().front()));
    kernel.answer();
    EXPECT_TRUE(run_until([&] { return reconciler->report().complete; }));
    EXPECT_EQ(reconciler->report().problems.empty(), error == 0);
    io.stop();
    io.restart();
    reconciler.reset();
  }
}

// Each time by a program, say: what another keeps undoing is held down all the same.
TEST_F(ReconcilerTest, WhatIsAnsweredLaterIsHeldDownToo) {
  const auto is_route = [](const Op& op) { return std::holds_alternative<Route>(op.object); };
  kernel.later = is_route;
  start();
  const auto answered = [&] {
    kernel.answer();
    return kernel.state == want && reconciler->under_way().empty();
  };
  ASSERT_TRUE(run_until(answered));
  io.run_for(milliseconds(5));
  EXPECT_TRUE(reconciler->report().problems.empty()) << "to be made is no repair";
  const Object route = *want.of<Route>().begin();
  EXPECT_TRUE(run_until([&] {
    if (kernel.state == want) {
      kernel.outside({Op::Verb::remove, route});
    }
    kernel.answer();
    return !reconciler->report().problems.empty();
  }));
  EXPECT_EQ(reconciler->report().problems[0].error, EBUSY);
  EXPECT_TRUE(run_until(answered));
}

// A device that changes says nothing about what lies on none: their lists may be long.
TEST_F(ReconcilerTest, RulesAreNotListedAgainWithADevice) {
  start();
  ASSERT_TRUE(converges());
  io.run_for(milliseconds(20));
  kernel.listed_kinds.reset();
  kernel.outside({Op::Verb::remove, *want.of<Link>().begin()});
  ASSERT_TRUE(run_until([&] { return kernel.state == want; }));
  EXPECT_EQ(kernel.listed_kinds, all_kinds() & ~kinds<Ruleset>());
}

// As a route that an IPv6 gateway needs for a moment, whose notifications come back to us.
TEST_F(ReconcilerTest, ARouteThatCameAndWentAgainSinceTheLastLookIsNothing) {
  start();
  ASSERT_TRUE(run_until([&] { return kernel.state == want; }));
  io.run_for(milliseconds(20));
  const auto passes = reconciler->report().passes;
  const unsigned dumps = kernel.dumps;
  Route route;
  route.key = {*Prefix::parse("10.5.9.1/32"), 1};
  route.dev = "flannel.1";
  kernel.outside({Op::Verb::add, route});
  kernel.outside({Op::Verb::remove, route});
  io.run_for(milliseconds(20));
  EXPECT_EQ(reconciler->report().passes, passes);
  EXPECT_EQ(kernel.dumps, dumps);
  kernel.outside({Op::Verb::add, route});
  EXPECT_TRUE(run_until([&] { return reconciler->report().passes > passes; }));
  EXPECT_TRUE(run_until([&] { return kernel.state == want; })) << "one that stays is removed";
}

// Which would list all that was just made.
TEST_F(ReconcilerTest, ThatSomethingIsAnsweredLaterOrRefusedCausesNoDumpOfTheRest) {
  want = overlay(200);
  want.of<Ruleset>().put({{FirewallTool::iptables, Family::v4, "nat"}, {"-A ours"}});
  want.of<Ruleset>().put({{FirewallTool::iptables, Family::v4, "filter"}, {"-A ours"}});
  const auto is_rules = [](const Op& op) { return std::holds_alternative<Ruleset>(op.object); };
  kernel.later = is_rules;
  start();
  ASSERT_TRUE(run_until([&] { return reconciler->report().passes > 0; }));
  reconciler->wake();
  ASSERT_TRUE(run_until([&] { return reconciler->report().passes > 1; }));
  const auto ops = kernel.applied.size();
  kernel.answer();
  ASSERT_TRUE(run_until([&] { return kernel.state == want && reconciler->under_way().empty(); }));
  io.run_for(milliseconds(5));
  EXPECT_EQ(kernel.dumps, 1U);
  EXPECT_EQ(kernel.applied.size(), ops + 2) << "what is there is not put again";
}

// By the time that the kernel names for them, and what is listed at other times is not.
TEST_F(ReconcilerTest, KindsAreListedAtTimesOfTheirOwn) {
  audit = std::chrono::minutes(5);
  kernel.audit_list = {{all_kinds() & ~kinds<Sysctl>(), std::nullopt},
                       {kinds<Sysctl>(), milliseconds(5)}};
  start();
  ASSERT_TRUE(converges());
  const unsigned dumps = kernel.dumps;
  kernel.outside({Op::Verb::change, Sysctl{{"flannel.1", std::string(kAcceptRa)}, "1"}});
  EXPECT_TRUE(run_until([&] { return kernel.state == want; }));
  EXPECT_EQ(kernel.dumps, dumps);
}

}  // namespace
}  // namespace flannel

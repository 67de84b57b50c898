// The reconciler where the kernel refuses: it says so, loses nothing, and goes on soon.

#include <cerrno>
#include <set>

#include "test/reconcile/reconciler_fixture.h"

namespace flannel {
namespace {

using std::chrono::milliseconds;

// The n-th op fails, once, with each of the usual errors.
TEST_F(ReconcilerTest, ConvergesWhicheverOpFails) {
  for (const int error : {EBUSY, ENOBUFS, EPERM, ENODEV, ENOMEM}) {
    for (std::size_t nth = 0; nth < want.size(); ++nth) {
      SCOPED_TRACE(fmt::format("errno {} at op {}", error, nth));
      FakeKernel fresh;
      fresh.host_view = kernel.host_view;
      fresh.fail = [&](const Op&, std::size_t count) { return count == nth ? error : 0; };
      Reconciler one(io.get_executor(), fresh, scope,
                     {.plan = [this](const Snapshot&) { return want; }}, {});
      one.pass();
      EXPECT_FALSE(one.report().problems.empty());
      for (int passes = 0; passes < 3 && !one.report().problems.empty(); ++passes) {
        one.pass();
      }
      EXPECT_TRUE(one.report().problems.empty());
      EXPECT_EQ(to_text(fresh.state), to_text(want));
    }
  }
}

// The device vanishes in the midst of a pass, after each op in turn.
TEST_F(ReconcilerTest, ConvergesWheneverTheDeviceVanishes) {
  for (std::size_t nth = 0; nth < want.size(); ++nth) {
    SCOPED_TRACE(nth);
    FakeKernel fresh;
    fresh.host_view = kernel.host_view;
    std::size_t done = 0;
    fresh.after = [&](const Op&) {
      if (done++ == nth) {
        fresh.outside({Op::Verb::remove, *want.of<Link>().begin()});
      }
    };
    Reconciler one(io.get_executor(), fresh, scope,
                   {.plan = [this](const Snapshot&) { return want; }}, {});
    for (int passes = 0; passes < 5; ++passes) {
      one.process_notifications();
      one.pass();
    }
    EXPECT_EQ(to_text(fresh.state), to_text(want));
    EXPECT_TRUE(one.report().problems.empty());
  }
}

TEST_F(ReconcilerTest, AFailureIsReportedWithItsWordsAndDoesNotHoldUpTheRest) {
  const Object stubborn = *want.of<Route>().begin();
  kernel.fail = [&](const Op& op, std::size_t) { return op.object == stubborn ? EPERM : 0; };
  start();
  ASSERT_TRUE(has_failed_thrice());
  const Report& report = reconciler->report();
  ASSERT_EQ(report.problems.size(), 1U);
  EXPECT_EQ(report.problems[0].error, EPERM);
  EXPECT_EQ(report.problems[0].text, "Operation not permitted");
  EXPECT_EQ(reconciler->state_of(std::get<Route>(stubborn)), ObjectState::failed);
  EXPECT_EQ(reconciler->state_of(*std::prev(want.of<Route>().end())), ObjectState::present);
  EXPECT_EQ(kernel.state.size(), want.size() - 1);
  EXPECT_TRUE(report.complete) << "one peer's route must not keep the node from being ready";
  kernel.fail = {};
  EXPECT_TRUE(converges());
}

// Nobody tells of a setting that changes, only of what the kernel does to the objects.
TEST_F(ReconcilerTest, ASettingThatMakesTheKernelRefuseIsSeenWithTheRefusal) {
  start();
  ASSERT_TRUE(converges());
  const Sysctl wanted = *want.of<Sysctl>().begin();
  kernel.fail = [&](const Op& op, std::size_t) {
    const bool allows = kernel.state.of<Sysctl>().find(wanted.key)->value == wanted.value;
    return std::holds_alternative<Address>(op.object) && !allows ? EACCES : 0;
  };
  ASSERT_TRUE(kernel.outside({Op::Verb::change, Sysctl{wanted.key, "1"}}).ok());
  ASSERT_TRUE(kernel.outside({Op::Verb::remove, *want.of<Address>().begin()}).ok());
  EXPECT_TRUE(converges());
}

TEST_F(ReconcilerTest, IsNotCompleteWithoutItsDevice) {
  kernel.fail = [](const Op& op, std::size_t) {
    return std::holds_alternative<Link>(op.object) ? EPERM : 0;
  };
  start();
  ASSERT_TRUE(has_failed_thrice());
  EXPECT_FALSE(reconciler->report().complete);
}

// Thousands of objects on a device that cannot be made are one problem, and cost one system call.
TEST_F(ReconcilerTest, WhatNeedsAMissingDeviceWaitsForIt) {
  want = overlay(5000);
  std::size_t tried = 0;
  kernel.fail = [&](const Op& op, std::size_t) {
    ++tried;
    return std::holds_alternative<Link>(op.object) ? ENODEV : 0;
  };
  Reconciler one(io.get_executor(), kernel, scope,
                 {.plan = [this](const Snapshot&) { return want; }}, {});
  one.pass();
  ASSERT_EQ(one.report().problems.size(), 1U);
  EXPECT_EQ(one.report().problems[0].waiting, want.size() - 1);
  EXPECT_EQ(total(one.report().pending), want.size());
  EXPECT_EQ(tried, 1U);
  EXPECT_EQ(one.state_of(*want.of<Route>().begin()), ObjectState::pending);
  kernel.fail = {};
  one.pass();
  EXPECT_EQ(to_text(kernel.state), to_text(want));
}

// Nor more, where the device goes and the notification of it is still to come.
TEST_F(ReconcilerTest, WhatFindsItsDeviceGoneIsOneProblem) {
  want = overlay(500);
  kernel.fail = [&](const Op& op, std::size_t) {
    return needs_of(op.object).dev.empty() || std::holds_alternative<Link>(op.object) ? 0 : ENODEV;
  };
  Reconciler one(io.get_executor(), kernel, scope,
                 {.plan = [this](const Snapshot&) { return want; }}, {});
  one.pass();
  ASSERT_EQ(one.report().problems.size(), 1U);
  EXPECT_EQ(one.report().problems[0].error, ENODEV);
  std::uint64_t failures = 0;
  for (const auto& [what, count] : one.report().failures) {
    failures += count;
  }
  EXPECT_EQ(failures, 1U);
  kernel.fail = {};
  one.pass();
  EXPECT_EQ(to_text(kernel.state), to_text(want));
}

TEST_F(ReconcilerTest, ARouteWaitsForItsNexthop) {
  kernel.fail = [](const Op& op, std::size_t) {
    const Nexthop* nexthop = std::get_if<Nexthop>(&op.object);
    return nexthop != nullptr && nexthop->key.id == 0x100002 ? ENOBUFS : 0;
  };
  Reconciler one(io.get_executor(), kernel, scope,
                 {.plan = [this](const Snapshot&) { return want; }}, {});
  one.pass();
  ASSERT_EQ(one.report().problems.size(), 1U);
  EXPECT_EQ(one.report().problems[0].waiting, 1U);
  EXPECT_EQ(kernel.state.of<Route>().size(), want.of<Route>().size() - 1);
}

// A cause that lasted is noticed as soon as one that did not: with the host's notification at once,
// without any by the next try. With the real intervals.
TEST_F(ReconcilerTest, HealsSoonAfterACauseThatLasted) {
  for (const bool told : {true, false}) {
    SCOPED_TRACE(told);
    asio::io_context io;  // ends with its loops
    FakeKernel fresh;
    fresh.host_view = kernel.host_view;
    bool refuses = true;
    fresh.fail = [&](const Op& op, std::size_t) {
      return refuses && std::holds_alternative<Link>(op.object) ? ENODEV : 0;
    };
    Reconciler one(io.get_executor(), fresh, scope,
                   {.plan = [this](const Snapshot&) { return want; }}, {});
    asio::co_spawn(io, one.run(), asio::detached);
    asio::co_spawn(io, one.follow_kernel(), asio::detached);
    // Pods come and go all the time.
    const auto cause_ends = std::chrono::steady_clock::now() + std::chrono::seconds(3);
    while (std::chrono::steady_clock::now() < cause_ends) {
      fresh.change_host({.all = false, .links = {"veth7"}, .routes = {}});
      io.restart();
      io.run_for(milliseconds(50));
    }
    EXPECT_LE(one.report().passes, 3U) << "a pass a pod";
    refuses = false;
    if (told) {
      fresh.change_host({.all = false, .links = {"eth0"}, .routes = {}});
    }
    flannel::run_until(io, [&] { return fresh.state == want; }, milliseconds(200));
    EXPECT_EQ(to_text(fresh.state), to_text(want));
  }
}

// Each of thousands is refused for a reason of its own.
TEST_F(ReconcilerTest, ThousandsOfRefusalsAreTriedInTurn) {
  want = overlay(20'000);
  bool refuses = true;
  std::set<std::uint32_t> tried;
  kernel.fail = [&](const Op& op, std::size_t) {
    const Nexthop* nexthop = std::get_if<Nexthop>(&op.object);
    if (nexthop != nullptr) {
      tried.insert(nexthop->key.id);
    }
    return refuses && nexthop != nullptr ? ENOMEM : 0;
  };
  start();
  ASSERT_TRUE(run_until([this] { return reconciler->report().passes >= 2; }));
  EXPECT_EQ(reconciler->report().problems.size(), 20'000U);
  EXPECT_EQ(total(reconciler->report().pending), 40'000U);
  tried.clear();
  ASSERT_TRUE(run_until([&] { return tried.size() > 1000; }));
  refuses = false;
  EXPECT_TRUE(run_until([&] { return kernel.state == want; }));
}

}  // namespace
}  // namespace flannel

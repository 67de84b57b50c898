// The reconciler on the fake kernel: whatever happens, it ends with the kernel as planned.

#include "reconcile/reconciler.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <cerrno>
#include <set>

#include "reconcile/diff.h"
#include "test/fake_kernel.h"

namespace flannel {
namespace {

using std::chrono::milliseconds;

class ReconcilerTest : public testing::Test {
 protected:
  ReconcilerTest() {
    kernel.host_view.interfaces.push_back({"eth0", 2, 1500, true, {}});
    scope.links = {"flannel.1"};
    scope.alias = "flannel 10.5.0.0/16";
    scope.networks = {*Prefix::parse("10.0.0.0/8")};  // room for as many peers as any test has
    scope.first_nexthop = 0x100000;
    want = overlay(3);
  }

  static NetState overlay(unsigned peers) {
    NetState state;
    Link link;
    link.key.name = "flannel.1";
    link.kind = Vxlan{1, *IpAddr::parse("198.18.0.2"), "eth0", 8472, false, false};
    link.mac = Mac::local(1);
    link.mtu = 1450;
    link.alias = "flannel 10.5.0.0/16";
    state.links.put(link);
    state.addresses.put({{"flannel.1", *Prefix::parse("10.5.0.0/32")}});
    for (unsigned i = 1; i <= peers; ++i) {
      const IpAddr base = IpAddr::from_number(Family::v4, 0x0a050000 + (i << 8));
      state.neighbours.put({{"flannel.1", base}, Mac::local(0x100 + i)});
      state.fdb.put(
          {{"flannel.1", Mac::local(0x100 + i)}, IpAddr::from_number(Family::v4, 0xc6120000 + i)});
      state.nexthops.put({{0x100000 + i}, base, "flannel.1", true});
      Route route;
      route.key.dst = {base, 24};
      route.nexthop = 0x100000 + i;
      state.routes.put(route);
    }
    return state;
  }

  Reconciler& start() {
    reconciler.emplace(
        io.get_executor(), kernel, scope, [this](const Snapshot&) { return want; },
        Reconciler::Timing{milliseconds(1), milliseconds(1), milliseconds(1), milliseconds(4),
                           audit});
    asio::co_spawn(io, reconciler->run(), asio::detached);
    asio::co_spawn(io, reconciler->follow_kernel(), asio::detached);
    return *reconciler;
  }

  // Runs the loop until `done`, or gives up after some seconds.
  bool run_until(const std::function<bool()>& done) {
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    io.restart();
    while (!done() && std::chrono::steady_clock::now() < limit) {
      io.run_for(milliseconds(1));
      io.restart();
    }
    return done();
  }
  // As wanted, and quiet.
  bool converges() {
    return run_until([this] {
      return reconciler->report().passes > 0 && to_text(kernel.dump(scope).ours) == to_text(want) &&
             reconciler->report().problems.empty();
    });
  }

  asio::io_context io;
  FakeKernel kernel;
  Scope scope;
  NetState want;
  milliseconds audit{1'000'000};
  std::optional<Reconciler> reconciler;
};

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
  run_until([this] { return reconciler->report().passes > 1; });  // the link's own echo
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

// Somebody removes one object of each kind, or the device, or takes it down.
TEST_F(ReconcilerTest, HealsWhateverIsTakenAway) {
  start();
  ASSERT_TRUE(converges());
  Link down = *want.links.begin();
  down.up = false;
  Neighbour wrong = *want.neighbours.begin();
  wrong.mac = Mac::local(0x999);
  const Op sabotage[] = {
      {Op::Verb::remove, *want.links.begin()},     {Op::Verb::change, down},
      {Op::Verb::remove, *want.addresses.begin()}, {Op::Verb::remove, *want.neighbours.begin()},
      {Op::Verb::remove, *want.fdb.begin()},       {Op::Verb::remove, *want.nexthops.begin()},
      {Op::Verb::remove, *want.routes.begin()},    {Op::Verb::change, wrong},
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
  kernel.state.routes = {};
  EXPECT_TRUE(converges());
}

TEST_F(ReconcilerTest, HealsAfterLostNotifications) {
  start();
  ASSERT_TRUE(converges());
  kernel.lose_notifications();
  ASSERT_TRUE(kernel.outside({Op::Verb::remove, *want.routes.begin()}).ok());
  EXPECT_TRUE(converges());
}

TEST_F(ReconcilerTest, RemovesWhatIsOursAndNotPlannedAndNothingElse) {
  kernel.state = overlay(5);
  Route foreign;
  foreign.key.dst = *Prefix::parse("10.77.0.0/16");
  foreign.dev = "eth0";
  foreign.protocol = 4;
  kernel.state.routes.put(foreign);
  start();
  EXPECT_TRUE(converges());
  EXPECT_NE(kernel.state.routes.find(foreign.key), nullptr);
}

// The n-th op fails, once, with each of the usual errors.
TEST_F(ReconcilerTest, ConvergesWhicheverOpFails) {
  for (const int error : {EBUSY, ENOBUFS, EPERM, ENODEV, ENOMEM}) {
    for (std::size_t nth = 0; nth < want.size(); ++nth) {
      SCOPED_TRACE(fmt::format("errno {} at op {}", error, nth));
      FakeKernel fresh;
      fresh.host_view = kernel.host_view;
      fresh.fail = [&](const Op&, std::size_t count) { return count == nth ? error : 0; };
      Reconciler one(io.get_executor(), fresh, scope, [this](const Snapshot&) { return want; }, {});
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
        fresh.outside({Op::Verb::remove, *want.links.begin()});
      }
    };
    Reconciler one(io.get_executor(), fresh, scope, [this](const Snapshot&) { return want; }, {});
    for (int passes = 0; passes < 5; ++passes) {
      one.absorb_changes();
      one.pass();
    }
    EXPECT_EQ(to_text(fresh.state), to_text(want));
    EXPECT_TRUE(one.report().problems.empty());
  }
}

TEST_F(ReconcilerTest, AFailureIsReportedWithItsWordsAndDoesNotHoldUpTheRest) {
  const Object stubborn = *want.routes.begin();
  kernel.fail = [&](const Op& op, std::size_t) { return op.object == stubborn ? EPERM : 0; };
  start();
  ASSERT_TRUE(run_until([this] {
    const Report& report = reconciler->report();
    return !report.problems.empty() && report.problems[0].attempts >= 3;
  }));
  const Report& report = reconciler->report();
  ASSERT_EQ(report.problems.size(), 1U);
  EXPECT_EQ(report.problems[0].error, EPERM);
  EXPECT_EQ(report.problems[0].text, "Operation not permitted");
  EXPECT_EQ(reconciler->state_of(std::get<Route>(stubborn)), ObjectState::failed);
  EXPECT_EQ(reconciler->state_of(*std::prev(want.routes.end())), ObjectState::present);
  EXPECT_EQ(kernel.state.size(), want.size() - 1);
  EXPECT_TRUE(report.complete) << "one peer's route must not keep the node from being ready";
  kernel.fail = {};
  EXPECT_TRUE(converges());
}

TEST_F(ReconcilerTest, IsNotCompleteWithoutItsDevice) {
  kernel.fail = [](const Op& op, std::size_t) {
    return std::holds_alternative<Link>(op.object) ? EPERM : 0;
  };
  start();
  ASSERT_TRUE(run_until([this] {
    const Report& report = reconciler->report();
    return !report.problems.empty() && report.problems[0].attempts >= 3;
  }));
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
  Reconciler one(io.get_executor(), kernel, scope, [this](const Snapshot&) { return want; }, {});
  one.pass();
  ASSERT_EQ(one.report().problems.size(), 1U);
  EXPECT_EQ(one.report().problems[0].waiting, want.size() - 1);
  EXPECT_EQ(one.report().pending, want.size());
  EXPECT_EQ(tried, 1U);
  EXPECT_EQ(one.state_of(*want.routes.begin()), ObjectState::pending);
  kernel.fail = {};
  one.pass();
  EXPECT_EQ(to_text(kernel.state), to_text(want));
}

TEST_F(ReconcilerTest, ARouteWaitsForItsNexthop) {
  kernel.fail = [](const Op& op, std::size_t) {
    const Nexthop* nexthop = std::get_if<Nexthop>(&op.object);
    return nexthop != nullptr && nexthop->key.id == 0x100002 ? ENOBUFS : 0;
  };
  Reconciler one(io.get_executor(), kernel, scope, [this](const Snapshot&) { return want; }, {});
  one.pass();
  ASSERT_EQ(one.report().problems.size(), 1U);
  EXPECT_EQ(one.report().problems[0].waiting, 1U);
  EXPECT_EQ(kernel.state.routes.size(), want.routes.size() - 1);
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
    Reconciler one(io.get_executor(), fresh, scope, [this](const Snapshot&) { return want; }, {});
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
    const auto limit = std::chrono::steady_clock::now() + milliseconds(200);
    while (fresh.state != want && std::chrono::steady_clock::now() < limit) {
      io.restart();
      io.run_for(milliseconds(1));
    }
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
  EXPECT_EQ(reconciler->report().pending, 40'000U);
  tried.clear();
  ASSERT_TRUE(run_until([&] { return tried.size() > 1000; }));
  refuses = false;
  EXPECT_TRUE(run_until([&] { return kernel.state == want; }));
}

// Another program undoes the same repair at once, each time.
TEST_F(ReconcilerTest, HoldsDownWhatIsUndoneAndNothingElse) {
  start();
  ASSERT_TRUE(converges());
  const Object contested = *want.routes.begin();
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
  const Object other = *std::prev(want.routes.end());
  kernel.outside({Op::Verb::remove, other});
  EXPECT_TRUE(run_until([&] { return kernel.state.routes.size() == want.routes.size() - 1; }));
  kernel.after = {};
  EXPECT_TRUE(converges());
}

// Somebody asks for a preview between a change and its notification.
TEST_F(ReconcilerTest, APreviewTakesNoNotificationAway) {
  kernel.state = want;
  Reconciler one(io.get_executor(), kernel, scope, [this](const Snapshot&) { return want; }, {});
  one.pass();
  Link down = *want.links.begin();
  down.up = false;
  ASSERT_TRUE(kernel.outside({Op::Verb::change, down}).ok());
  EXPECT_FALSE(one.preview().ops.empty());
  one.absorb_changes();
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
  want.routes.put(direct);
  start();
  ASSERT_TRUE(converges());
  kernel.state.routes = {};
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
  Reconciler one(io.get_executor(), kernel, scope, [this](const Snapshot&) { return want; }, {});
  EXPECT_EQ(one.preview().ops, diff(want, overlay(2)));
  EXPECT_TRUE(kernel.applied.empty());
}

}  // namespace
}  // namespace flannel

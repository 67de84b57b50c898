#include "daemon/own_lease.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <stdexcept>

#include "base/loop_fixture.h"
#include "network/lease_fixture.h"

namespace flannel {
namespace {

using namespace std::chrono_literals;
using State = OwnEntry::State;

// Counts the renewals; `during` happens while one is under way.
class FakeRenewals : public LeaseStore {
 public:
  std::string name() const override { return "fake"; }
  Task<std::optional<std::string>> config() override { co_return std::nullopt; }
  Task<Result<std::string>> next_config(std::optional<std::string>) override {
    co_return std::string();
  }
  Task<Result<Lease>> acquire(AcquireRequest) override { co_return fail("not asked for"); }
  std::unique_ptr<LeaseWatch> watch() override { return nullptr; }
  Task<Result<Lease>> renew(Lease lease) override {
    ++calls;
    if (during) {
      std::exchange(during, nullptr)();
    }
    if (away) {
      throw std::runtime_error("away");
    }
    if (lease.expiry) {
      lease.expiry = now + lifetime;
    }
    written = lease;
    co_return holder.empty() ? Result<Lease>(lease) : fail("10.5.1.0/24 is held by {}", holder);
  }

  BootClock::time_point now{1h};
  BootClock::duration lifetime = 24h;
  int calls = 0;
  bool away = false;
  std::string holder;
  Lease written;
  std::function<void()> during;
};

class OwnLeaseTest : public testing::Test {
 protected:
  static Lease lease(const std::string& ip, const std::string& mac = "02:00:00:00:00:01") {
    return vxlan_lease("10.5.1.0-24", ip, *Mac::parse(mac));
  }
  // The clock that the test moves decides; the real one only turns the loop.
  void start(BootClock::duration lifetime = 24h) {
    Lease first = lease("198.18.0.2");
    first.expiry = store.now + lifetime;
    OwnLease::Timing timing;
    timing.now = [this] { return store.now; };
    timing.between_clock_looks = 1ms;
    own.reset();
    io.emplace();
    own.emplace(io->get_executor(), store, first, 60min, timing);
    asio::co_spawn(*io, own->run(),
                   [this](const std::exception_ptr& failure) { fatal = failure_text(failure); });
    turn();
  }
  void turn() {
    io->run_for(10ms);
    io->poll();  // what is due by now, also where we had no processor meanwhile
  }
  void pass(BootClock::duration time) {
    store.now += time;
    turn();
  }
  void see(State state, const Lease& found = {}) {
    own->seen({.state = state, .lease = found, .reason = "junk"});
    turn();
  }

  std::optional<asio::io_context> io;
  FakeRenewals store;
  std::optional<OwnLease> own;
  std::string fatal;
};

TEST_F(OwnLeaseTest, IsRenewedAnHourBeforeItEnds) {
  start();
  pass(22h + 59min);
  EXPECT_EQ(store.calls, 0);
  pass(2min);
  EXPECT_EQ(store.calls, 1);
  pass(22h);
  EXPECT_EQ(store.calls, 1) << "it lasts a day again";
  pass(2h);
  EXPECT_EQ(store.calls, 2);
}

TEST_F(OwnLeaseTest, WhateverIsWrongWithItIsAnsweredAtOnce) {
  for (const State state : {State::gone, State::other, State::unreadable, State::may_expire}) {
    store.calls = 0;
    start();
    see(state, lease("198.18.0.2", "02:00:00:00:00:99"));
    EXPECT_EQ(store.calls, 1);
    EXPECT_FALSE(own->trouble().empty());
    see(State::as_written);
    EXPECT_EQ(own->trouble(), "");
    EXPECT_EQ(store.calls, 1);
  }
}

// The beginning of a trouble is a warning, its end is none.
TEST_F(OwnLeaseTest, ThatItIsAsWeWroteItAgainIsNoWarning) {
  start();
  testing::internal::CaptureStderr();
  see(State::gone);
  see(State::as_written);
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_EQ(log[0], 'W') << log;
  const std::size_t end = log.find("is as we wrote it again");
  ASSERT_NE(end, std::string::npos) << log;
  EXPECT_EQ(log[log.rfind('\n', end) + 1], 'I') << log;
}

TEST_F(OwnLeaseTest, WhatIsSeenWhileACallIsUnderWayIsNotForgotten) {
  start();
  store.during = [&] { own->seen({.state = State::gone, .lease = {}, .reason = {}}); };
  see(State::gone);
  EXPECT_EQ(store.calls, 1);
  pass(1s);
  EXPECT_EQ(store.calls, 2);
  store.during = [&] { own->publish(lease("198.18.0.3").attrs); };
  pass(1min);
  see(State::gone);
  pass(30s);
  EXPECT_EQ(store.calls, 4);
  EXPECT_EQ(store.written.attrs.public_ip->to_text(), "198.18.0.3");
}

// As a Node of Kubernetes that was deleted, and is made again.
TEST_F(OwnLeaseTest, WhatCouldNotBeWrittenIsTriedSoonWhenTheCauseIsAnother) {
  start();
  store.away = true;
  see(State::gone);
  for (int i = 0; i < 100; ++i) {
    pass(1s);
  }
  const int calls = store.calls;
  store.away = false;
  see(State::altered);
  pass(1s);
  EXPECT_EQ(store.calls, calls + 1);
}

TEST_F(OwnLeaseTest, AtMostOneWriteASecondAndEverFewer) {
  start();
  for (int i = 0; i < 600; ++i) {
    own->seen({.state = State::gone, .lease = {}, .reason = {}});
    store.now += 100ms;
    io->run_for(2ms);
  }
  EXPECT_GE(store.calls, 4);
  EXPECT_LE(store.calls, 8) << "within a minute";
  pass(2min);
  const int calls = store.calls;
  pass(2min);
  see(State::gone);
  EXPECT_EQ(store.calls, calls + 1) << "after a minute of peace at once";
}

TEST_F(OwnLeaseTest, ASecondNodeWithOurAddressIsNamed) {
  start();
  const Lease theirs = lease("198.18.0.2", "02:00:00:00:00:99");
  own->seen({.state = State::other, .lease = theirs, .reason = {}});
  see(State::other, theirs);  // told twice, which is one
  pass(3s);
  see(State::other, theirs);
  pass(10s);
  try {
    own->seen({.state = State::other, .lease = theirs, .reason = {}});
    FAIL() << "three within a minute";
  } catch (const Fatal& error) {
    EXPECT_NE(std::string(error.what()).find("two nodes publish 198.18.0.2"), std::string::npos)
        << error.what();
  }
}

TEST_F(OwnLeaseTest, ThreeInAnHourAreNoSecondNode) {
  start();
  for (int i = 0; i < 5; ++i) {
    see(State::other, lease("198.18.0.2", "02:00:00:00:00:99"));
    pass(20min);
  }
  EXPECT_EQ(store.calls, 5);
}

TEST_F(OwnLeaseTest, ANodeThatReallyHoldsItEndsUs) {
  start();
  store.holder = "198.18.0.9";
  see(State::other, lease("198.18.0.9"));
  EXPECT_EQ(fatal, "Lease has been revoked: 10.5.1.0/24 is held by 198.18.0.9");
}

TEST_F(OwnLeaseTest, AStoreThatIsBackIsNotKeptWaiting) {
  start();
  std::vector<std::string> told;
  own->on_store_state = [&](const std::string& trouble) { told.push_back(trouble); };
  store.away = true;
  see(State::gone);
  pass(20s);
  pass(20s);
  EXPECT_EQ(told.size(), 3U);
  store.away = false;
  own->store_is_back();
  turn();
  EXPECT_EQ(told.back(), "");
  EXPECT_EQ(store.calls, 4);
}

// An outage is no dispute: the waits that it made long are no longer of use.
TEST_F(OwnLeaseTest, AfterAnOutageALossIsAnsweredWithinASecond) {
  start();
  store.away = true;
  see(State::gone);
  for (int i = 0; i < 30; ++i) {
    pass(10s);
  }
  store.away = false;
  pass(30s);
  const int calls = store.calls;
  see(State::gone);
  pass(1s);
  EXPECT_EQ(store.calls, calls + 1);
}

TEST_F(OwnLeaseTest, AnAbsurdLifetimeIsNoBusyLoop) {
  for (const BootClock::duration lifetime : {BootClock::duration(-5h), BootClock::duration(0),
                                             BootClock::duration(10ms), BootClock::duration(1h)}) {
    store.calls = 0;
    store.lifetime = lifetime;
    start(lifetime);
    const int first = store.calls;
    for (int i = 0; i < 50; ++i) {
      store.now += 100ms;
      io->run_for(2ms);
    }
    EXPECT_LE(store.calls - first, 6) << "in five seconds";
  }
}

}  // namespace
}  // namespace flannel

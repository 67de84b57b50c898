// The lease store is away for days, by a clock that the test moves: a daemon in this process, a
// kernel and a store in memory. A millisecond stands for seconds.

#include <system_error>

#include "test/daemon/daemon_fixture.h"

namespace flannel {
namespace {

using namespace std::chrono_literals;

// Whose host cannot be read so many times, as where a dump is interrupted.
class InterruptedKernel : public FakeKernel {
 public:
  HostView host() override {
    if (interruptions > 0) {
      --interruptions;
      throw std::system_error(EINTR, std::generic_category(), "the list of interfaces");
    }
    return FakeKernel::host();
  }
  unsigned interruptions = 0;
};

class LongOutage : public DaemonFixture<InterruptedKernel> {
 protected:
  LongOutage() {
    store.now = [this] { return now(); };
    timing.own_lease.now = [this] { return now(); };
    timing.own_lease.between_clock_looks = 5ms;
    start();
  }
  BootClock::time_point now() const { return BootClock::now() + passed; }

  BootClock::duration passed{};
};

TEST_F(LongOutage, KeepsEverythingAndTakesItsLeaseAgain) {
  for (unsigned i = 1; i <= 3; ++i) {
    store.put(peer(i, fmt::format("198.18.1.{}", i)));
  }
  ASSERT_TRUE(run_until([&] { return state().ready; }));
  const LeaseKey own = state().lease()->key;
  const NetState before = kernel.state;

  store.fail_with("the store is away");
  for (int hour = 0; hour < 48; ++hour) {
    passed += 1h;
    io().run_for(20ms);
  }
  EXPECT_EQ(kernel.state, before) << "nothing is removed on doubt";
  EXPECT_TRUE(state().ready);
  EXPECT_EQ(state().store_health.trouble(), "the store is away");
  EXPECT_EQ(daemon().exit_code(), 0);
  // One try each 6 to 8 ms, of the watch and of the renewal that is due since the second day.
  EXPECT_LT(store.failed_calls(), 48U * 20 / 6 * 2 + 20) << "no busy loop";

  // Ours expired, one peer left, one moved, and one came.
  store.remove(own);
  store.remove(peer(1, "198.18.1.1").key);
  store.put(peer(2, "198.18.1.22"));
  store.put(peer(4, "198.18.1.4"));
  store.fail_with("");
  EXPECT_TRUE(run_until([&] { return store.leases().contains(own); })) << "the same subnet";
  EXPECT_TRUE(run_until([&] { return state().peers()->usable_count() == 3; }));
  EXPECT_TRUE(run_until([&] { return is_as_planned(); }));
  EXPECT_TRUE(run_until([&] { return state().store_health.trouble().empty(); }));
  EXPECT_TRUE(run_until([&] { return *state().lease()->expiry > now() + 23h; }));
}

// The machine sleeps, its timers with it; the lease goes on ageing.
TEST_F(LongOutage, ALeaseIsRenewedByTheTimeOfDay) {
  ASSERT_TRUE(run_until([&] { return state().ready; }));
  const std::size_t renewals = store.calls().renew;
  io().run_for(50ms);
  EXPECT_EQ(store.calls().renew, renewals);
  passed += 23h + 30min;
  EXPECT_TRUE(run_until([&] { return store.calls().renew == renewals + 1; }));
  io().run_for(50ms);
  EXPECT_EQ(store.calls().renew, renewals + 1);
}

// The only notification of a change is not lost with the look that it leads to.
TEST_F(LongOutage, ALookAtTheHostThatFailsIsMadeAgain) {
  ASSERT_TRUE(run_until([&] { return state().ready; }));
  const IpAddr address = *IpAddr::parse("198.18.0.77");
  kernel.host_view.interfaces.front().addresses.front().prefix.ip = address;
  kernel.interruptions = 2;
  kernel.change_host({.all = true});
  EXPECT_TRUE(run_until([&] { return state().external()->v4 == address; }));
  EXPECT_TRUE(run_until(
      [&] { return store.leases().at(state().lease()->key).attrs.public_ip == address; }));
}

}  // namespace
}  // namespace flannel

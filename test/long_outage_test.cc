// The lease store is away for days, by a clock that the test moves: a daemon in this process, a
// kernel and a store in memory. A millisecond stands for seconds.

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <system_error>

#include "daemon/daemon.h"
#include "test/fake_kernel.h"
#include "test/fake_store.h"

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

class LongOutage : public testing::Test {
 protected:
  LongOutage() {
    char pattern[] = "/tmp/flannel-outage.XXXXXX";
    folder_ = ::mkdtemp(pattern);
    const IpAddr own = *IpAddr::parse("198.18.0.2");
    kernel.host_view.interfaces.push_back({"eth0", 2, 1500, true, {}});
    kernel.host_view.interfaces.back().addresses.push_back({.prefix = {own, 16}});
    store.config =
        R"({"Network":"10.5.0.0/16","SubnetMin":"10.5.128.0","Backend":{"Type":"vxlan"}})";
    store.now = [this] { return now(); };
    Options options;
    options.subnet_file = folder_ / "subnet.env";
    options.state_dir = "";
    options.iface = {"eth0"};
    Daemon::Timing timing;
    timing.host_settle = 1ms;
    timing.between_idle_looks = 4ms;
    timing.waits = Backoff(1ms, 8ms);
    timing.failures = Backoff(1ms, 8ms);
    timing.departures = {.grace = 5ms, .unconfirmed = 20ms};
    timing.own_lease.renewals = Backoff(1ms, 8ms);
    timing.own_lease.between_writes = 1ms;
    timing.own_lease.now = [this] { return now(); };
    timing.own_lease.between_clock_looks = 5ms;
    daemon.emplace(io, options, kernel, store.open(io.get_executor()), timing);
    daemon->start();
  }
  ~LongOutage() override { std::filesystem::remove_all(folder_); }

  BootClock::time_point now() const { return BootClock::now() + passed; }
  template <class Condition>
  bool run_until(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + 20s;
    while (!condition() && std::chrono::steady_clock::now() < end) {
      io.run_one_for(10ms);
    }
    return condition();
  }
  static Lease peer(unsigned i, const std::string& ip) {
    return {
        *parse_lease_key(fmt::format("10.5.{}.0-24", i)),
        *parse_lease_attrs(fmt::format(
            R"({{"PublicIP":"{}","BackendType":"vxlan","BackendData":{{"VtepMAC":"02:00:00:00:00:{:02x}"}}}})",
            ip, i)),
        {}};
  }
  bool is_as_planned() { return daemon->state().reconciler->preview().ops.empty(); }

  BootClock::duration passed{};
  InterruptedKernel kernel;
  FakeStore store;
  asio::io_context io;
  std::optional<Daemon> daemon;

 private:
  std::filesystem::path folder_;
};

TEST_F(LongOutage, KeepsEverythingAndTakesItsLeaseAgain) {
  for (unsigned i = 1; i <= 3; ++i) {
    store.put(peer(i, fmt::format("198.18.1.{}", i)));
  }
  ASSERT_TRUE(run_until([&] { return daemon->state().ready; }));
  const LeaseKey own = daemon->state().lease()->key;
  const NetState before = kernel.state;

  store.fail_with("the store is away");
  for (int hour = 0; hour < 48; ++hour) {
    passed += 1h;
    io.run_for(20ms);
  }
  EXPECT_EQ(kernel.state, before) << "nothing is removed on doubt";
  EXPECT_TRUE(daemon->state().ready);
  EXPECT_EQ(daemon->state().store_trouble, "the store is away");
  EXPECT_EQ(daemon->exit_code(), 0);
  // One try each 6 to 8 ms, of the watch and of the renewal that is due since the second day.
  EXPECT_LT(store.failed_calls(), 48U * 20 / 6 * 2 + 20) << "no busy loop";

  // Ours expired, one peer left, one moved, and one came.
  store.remove(own);
  store.remove(peer(1, "198.18.1.1").key);
  store.put(peer(2, "198.18.1.22"));
  store.put(peer(4, "198.18.1.4"));
  store.fail_with("");
  EXPECT_TRUE(run_until([&] { return store.leases().contains(own); })) << "the same subnet";
  EXPECT_TRUE(run_until([&] { return daemon->state().peers->usable().size() == 3; }));
  EXPECT_TRUE(run_until([&] { return is_as_planned(); }));
  EXPECT_TRUE(run_until([&] { return daemon->state().store_trouble.empty(); }));
  EXPECT_TRUE(run_until([&] { return *daemon->state().lease()->expiry > now() + 23h; }));
}

// The machine sleeps, its timers with it; the lease goes on ageing.
TEST_F(LongOutage, ALeaseIsRenewedByTheTimeOfDay) {
  ASSERT_TRUE(run_until([&] { return daemon->state().ready; }));
  const std::size_t renewals = store.calls().renew;
  io.run_for(50ms);
  EXPECT_EQ(store.calls().renew, renewals);
  passed += 23h + 30min;
  EXPECT_TRUE(run_until([&] { return store.calls().renew == renewals + 1; }));
  io.run_for(50ms);
  EXPECT_EQ(store.calls().renew, renewals + 1);
}

// The only notification of a change is not lost with the look that it leads to.
TEST_F(LongOutage, ALookAtTheHostThatFailsIsMadeAgain) {
  ASSERT_TRUE(run_until([&] { return daemon->state().ready; }));
  const IpAddr address = *IpAddr::parse("198.18.0.77");
  kernel.host_view.interfaces.front().addresses.front().prefix.ip = address;
  kernel.interruptions = 2;
  kernel.change_host({.all = true});
  EXPECT_TRUE(run_until([&] { return daemon->state().external->v4 == address; }));
  EXPECT_TRUE(run_until(
      [&] { return store.leases().at(daemon->state().lease()->key).attrs.public_ip == address; }));
}

}  // namespace
}  // namespace flannel

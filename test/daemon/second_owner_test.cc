// Two nodes that publish one address, as cloned machines do, on one store.

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "base/loop_fixture.h"
#include "daemon/own_lease.h"
#include "network/lease_fixture.h"
#include "test/support/fake_store.h"

namespace flannel {
namespace {

using namespace std::chrono_literals;

// What of a node follows its own lease: OwnLease, and the watch that tells it what is stored.
class Node {
 public:
  Node(asio::io_context& io, FakeStore& fake, const Lease& lease, const OwnLease::Timing& timing)
      : store_(fake.open(io.get_executor())),
        own_(io.get_executor(), *store_, lease, 60min, timing) {
    own_.write_anew();
    const auto on_end = [this](const std::exception_ptr& failure) {
      ended = failure_text(failure);
    };
    asio::co_spawn(io, run(), on_end);
    asio::co_spawn(io, watch(), on_end);
  }

  std::string ended;  // by this error

 private:
  Task<void> run() { co_await own_.run(); }
  Task<void> watch() {
    const std::unique_ptr<LeaseWatch> watch = store_->watch();
    for (;;) {
      const LeaseUpdate update = co_await watch->next();
      if (update.own) {
        own_.seen(*update.own);
      }
    }
  }

  std::unique_ptr<LeaseStore> store_;
  OwnLease own_;
};

TEST(SecondOwner, OneEndsAndSaysWhyAndFewWritesAreMade) {
  const auto lease = [](std::uint32_t mac) {
    return vxlan_lease("10.5.7.0-24", "198.18.0.2", Mac::local(mac));
  };
  FakeStore store;
  asio::io_context io;  // with it go the watches, which the store knows
  BootClock::time_point now = BootClock::now();
  store.now = [&now] { return now; };
  OwnLease::Timing timing;
  timing.now = store.now;
  timing.between_clock_looks = 1ms;
  Node one(io, store, lease(1), timing), two(io, store, lease(2), timing);

  int tenths = 0;  // of a second
  for (; one.ended.empty() && two.ended.empty() && tenths < 600; ++tenths) {
    now += 100ms;
    io.run_for(3ms);
  }
  EXPECT_LT(tenths, 300) << "within half a minute";
  EXPECT_LE(store.calls().renew, 4U + 2U * static_cast<unsigned>(tenths) / 10U)
      << "each writes once a second at the most";
  const std::string& why = one.ended.empty() ? two.ended : one.ended;
  EXPECT_NE(why.find("two nodes publish 198.18.0.2"), std::string::npos) << why;
}

}  // namespace
}  // namespace flannel

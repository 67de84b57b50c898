#include "daemon/peer_watch.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <stdexcept>

#include "base/loop_fixture.h"
#include "test/support/fake_store.h"

namespace flannel {
namespace {

using namespace std::chrono_literals;

class PeerWatchTest : public testing::Test {
 protected:
  PeerWatchTest() {
    watch.on_answer = [this] { ++answers; };
    watch.on_own = [this](const OwnEntry& entry) { own.push_back(entry.state); };
    watch.on_change = [this](const PeersDelta& delta) {
      EXPECT_TRUE(delta.any);
      ++changes;
    };
    watch.on_list = [this] { return list(); };
    watch.on_listed = [this] { told_listed = watch.listed(); };
  }

  Task<void> list() {
    ++lists;
    if (!refusal.empty()) {
      throw std::runtime_error(refusal);
    }
    co_return;
  }
  Task<void> renew() { co_await view->renew(ours); }
  static LeaseKey key(unsigned i) { return *parse_lease_key(fmt::format("10.5.{}.0-24", i)); }
  static Lease lease(unsigned i, const std::string& ip) {
    return {key(i), {.public_ip = *IpAddr::parse(ip), .backend_type = "host-gw"}, {}};
  }
  // Until it ends: with an empty text, or with what it throws.
  void spawn(Task<void> task) {
    ended.reset();
    asio::co_spawn(io, std::move(task),
                   [this](const std::exception_ptr& failure) { ended = failure_text(failure); });
    turn(5ms);
  }
  void turn(std::chrono::milliseconds time) {
    io.restart();
    io.run_for(time);
    io.poll();  // what is due by now, also where we had no processor meanwhile
  }
  std::size_t count() const { return watch.peers().usable_count(); }

  FakeStore store;
  asio::io_context io;  // with it go the watches, which the store knows
  std::unique_ptr<LeaseStore> view = store.open(io.get_executor());
  const Lease ours = lease(60, "198.18.0.2");
  PeerWatch watch{io.get_executor(), *view,
                  Peers(*parse_network_config(R"({"Network":"10.5.0.0/16"})"), ours), ours.key,
                  Departures::Timing{.grace = 50ms, .unconfirmed = 50ms}};
  int answers = 0, changes = 0, lists = 0;
  bool told_listed = false;
  std::vector<OwnEntry::State> own;
  std::string refusal;
  std::optional<std::string> ended;
};

TEST_F(PeerWatchTest, FollowsTheStoreFromItsListOn) {
  store.put(lease(1, "198.18.1.1"));
  spawn(watch.follow());
  EXPECT_TRUE(told_listed);
  EXPECT_EQ(count(), 1U);
  store.put(lease(2, "198.18.1.2"));
  turn(5ms);
  EXPECT_EQ(count(), 2U);
  EXPECT_EQ(answers, 2);
  EXPECT_EQ(changes, 2);
  EXPECT_EQ(lists, 1) << "of later ones nobody hears";
}

TEST_F(PeerWatchTest, TellsWhatIsUnderOurOwnKey) {
  spawn(watch.follow());
  spawn(renew());
  store.remove(ours.key);
  turn(5ms);
  EXPECT_EQ(own, (std::vector{OwnEntry::State::as_written, OwnEntry::State::gone}));
  EXPECT_EQ(count(), 0U) << "we are no peer of ours";
}

TEST_F(PeerWatchTest, AListThatIsRefusedIsNone) {
  watch.assume({lease(1, "198.18.1.1")});
  EXPECT_EQ(count(), 1U);
  EXPECT_FALSE(watch.listed());
  refusal = "the configuration cannot be read";
  spawn(watch.follow());
  EXPECT_EQ(ended, refusal);
  EXPECT_FALSE(watch.listed());
  refusal.clear();
  spawn(watch.follow());
  EXPECT_TRUE(watch.listed());
  EXPECT_EQ(lists, 2);
}

TEST_F(PeerWatchTest, WhoIsSeenToLeaveGoesAfterItsGracePeriod) {
  store.put(lease(1, "198.18.1.1"));
  store.put(lease(2, "198.18.1.2"));
  spawn(watch.follow());
  spawn(watch.remove_departed());
  store.remove(key(1));
  store.remove(key(2));
  turn(5ms);
  EXPECT_EQ(count(), 2U);
  store.put(lease(2, "198.18.1.2"));
  EXPECT_TRUE(run_until(io, [&] { return count() == 1; }));
  turn(100ms);
  EXPECT_EQ(count(), 1U) << "who came back stays";
}

TEST_F(PeerWatchTest, WhoIsMissingInOneListIsAskedForAgain) {
  store.put(lease(1, "198.18.1.1"));
  spawn(watch.follow());
  store.remove(key(1));
  store.lose_events();
  ASSERT_TRUE(run_until(io, [&] { return ended.has_value(); }));
  EXPECT_EQ(ended, "");
  EXPECT_EQ(count(), 1U);
  spawn(watch.follow());
  EXPECT_EQ(count(), 0U);
  EXPECT_EQ(ended, std::nullopt) << "there is nothing to wait for but changes";
}

TEST_F(PeerWatchTest, ThrowsWhereTheStoreIsAway) {
  spawn(watch.follow());
  store.fail_with("the store is away");
  turn(5ms);
  EXPECT_EQ(ended, "the store is away");
}

TEST_F(PeerWatchTest, AChangeOfOurselvesMayBeOneOfThePeers) {
  store.put(lease(1, "198.18.1.1"));
  spawn(watch.follow());
  const int before = changes;
  watch.set_host({.addresses = {{"eth1", *Prefix::parse("10.5.1.7/24")}}});
  EXPECT_EQ(count(), 0U);
  EXPECT_EQ(changes, before + 1);
  watch.set_host({.addresses = {{"eth1", *Prefix::parse("10.5.1.7/24")}}});
  EXPECT_EQ(changes, before + 1) << "it is the same";
  watch.set_own(lease(60, "198.18.0.3"));
  EXPECT_EQ(changes, before + 2);
}

}  // namespace
}  // namespace flannel

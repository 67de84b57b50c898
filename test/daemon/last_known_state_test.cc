// What a daemon last knew: used while the store is away, refused without a trace where it does not
// fit, and written by a clean stop however slow the disk is.

#include <atomic>
#include <future>
#include <thread>

#include "base/file.h"
#include "test/daemon/daemon_fixture.h"
#include "test/daemon/disk_writes.h"

namespace flannel {
namespace {

using namespace std::chrono_literals;

// The network of before and another, on devices of other names.
constexpr const char* kDual =
    R"({"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fc00:5::/48","Backend":{"Type":"vxlan","VNI":6}})";

// Each write waits until the disk answers.
class SlowDisk {
 public:
  bool is_written_to() const { return begun_; }
  void answer() { answered_.set_value(); }

 private:
  std::atomic<bool> begun_ = false;
  std::promise<void> answered_;
  DiskWrites writes_{[this, answer = answered_.get_future().share()] {
    begun_ = true;
    answer.wait();
  }};
};

class LastKnownStateTest : public DaemonFixture<> {
 protected:
  LastKnownStateTest() { options.state_dir = directory.file("state"); }

  LastKnownStateFile file() { return {options.state_dir, "fake " + options.subnet_file}; }
  std::vector<Lease> written_peers() {
    const Result<LastKnownState> found = file().read();
    return found ? found->peers : std::vector<Lease>();
  }
  // A daemon has been here, with a peer, and the machine reboots while the store is away.
  void reboot_without_store() {
    store.put(peer(1, "198.18.1.1"));
    start();
    ASSERT_TRUE(run_until([&] { return written_peers().size() == 1; }));
    crash();
    std::filesystem::remove(options.subnet_file);
    kernel.state = {};
    store.fail_with("the store is away");
    add_address("fd99::2", 64);
  }
  void offer_dual_stack() {
    store.remove(store.leases().begin()->first);  // our lease, and the peer's
    store.remove(store.leases().begin()->first);
    store.put(dual_peer());
    store.config = kDual;
    store.fail_with("");
  }
  static Lease dual_peer() {
    Lease lease = peer(1, "198.18.1.6");
    lease.key = *parse_lease_key("10.5.1.0-24&fc00:5:0:1::-64");
    lease.attrs.public_ipv6 = *IpAddr::parse("fd99::6");
    lease.attrs.backend_v6_data = lease.attrs.backend_data;
    return lease;
  }
  // Of the network of kDual, and of nothing else.
  void expect_dual_stack_alone() {
    ASSERT_TRUE(run_until([&] { return is_as_planned() && state().peers()->usable().size() == 1; }))
        << state().reason;
    EXPECT_FALSE(state().fallback.get());
    EXPECT_TRUE(state().store_health.trouble().empty()) << state().store_health.trouble();
    EXPECT_EQ(state().external()->v6, IpAddr::parse("fd99::2"));
    const Lease* const own = state().lease();
    EXPECT_TRUE(own->key.v4 && own->key.v6) << to_text(own->key);
    EXPECT_EQ(own->attrs.public_ip, state().external()->v4);
    EXPECT_EQ(own->attrs.public_ipv6, state().external()->v6);
    EXPECT_EQ(store.leases().size(), 2U);
    EXPECT_EQ(store.leases().at(own->key).attrs, own->attrs);
    for (const char* device : {"flannel.6", "flannel-v6.6"}) {
      EXPECT_NE(kernel.state.of<Link>().find({device}), nullptr) << device;
    }
    EXPECT_EQ(kernel.state.of<Link>().size(), 2U);
    EXPECT_EQ(kernel.state.of<Route>().size(), 2U);
    const std::string env = read_file(options.subnet_file).value_or("");
    EXPECT_TRUE(env.starts_with("FLANNEL_NETWORK=10.5.0.0/16\n")) << env;
    EXPECT_NE(env.find("FLANNEL_IPV6_NETWORK=fc00:5::/48\n"), std::string::npos) << env;
    EXPECT_TRUE(run_until([&] {
      const Result<LastKnownState> found = file().read();
      return found && found->config == kDual && found->peers == std::vector{dual_peer()};
    }));
  }
};

TEST_F(LastKnownStateTest, OfOtherAddressesIsRefusedAndAllStepsBeginAgain) {
  reboot_without_store();
  kernel.host_view.interfaces.front().addresses.front().prefix.ip = *IpAddr::parse("198.18.0.77");
  start();
  ASSERT_TRUE(run_until([&] { return store.failed_calls() >= 3; }));
  EXPECT_FALSE(state().lease()) << "no subnet of another address's";
  EXPECT_FALSE(state().fallback.get());
  EXPECT_EQ(state().reason, "Couldn't fetch network config: the store is away");
  EXPECT_EQ(kernel.state, NetState());
  EXPECT_FALSE(std::filesystem::exists(options.subnet_file));
  offer_dual_stack();
  expect_dual_stack_alone();
}

// The device is made anew, with the MAC that the peers know; what the store says of the node counts
// from when it is back.
TEST_F(LastKnownStateTest, HasWhatTheNodePublishedUntilTheStoreSaysWhatItIsToPublish) {
  const std::string data = R"({"VNI":1,"VtepMAC":"02:00:5e:10:00:01"})";
  store.facts.published = LeaseAttrs{.backend_data = data};
  reboot_without_store();
  start();
  ASSERT_TRUE(run_until([&] { return is_as_planned(); }));
  EXPECT_TRUE(state().fallback.get());
  EXPECT_EQ(state().lease()->attrs.backend_data, data);
  store.facts.public_ip = *IpAddr::parse("203.0.113.7");
  store.fail_with("");
  const LeaseKey key = state().lease()->key;
  EXPECT_TRUE(run_until([&] {
    return store.leases().at(key).attrs.public_ip == store.facts.public_ip;
  })) << state().store_health.trouble();
  EXPECT_EQ(store.leases().at(key).attrs.backend_data, data);
  EXPECT_FALSE(state().fallback.get());
}

// What takes no restart is taken up.
TEST_F(LastKnownStateTest, OfAConfigurationThatCanBeTakenUpGoesOn) {
  reboot_without_store();
  start();
  ASSERT_TRUE(run_until([&] { return is_as_planned(); }));
  store.config =
      R"({"Network":"10.5.0.0/16","SubnetMin":"10.5.128.0","Backend":{"Type":"vxlan","MTU":1400}})";
  store.fail_with("");
  EXPECT_TRUE(run_until(
      [&] { return read_file(options.subnet_file).value_or("").contains("FLANNEL_MTU=1350\n"); }));
  EXPECT_TRUE(run_until([&] { return state().fallback.get() == nullptr && is_as_planned(); }));
  EXPECT_EQ(state().config_watch->trouble(), "");
  EXPECT_EQ(daemon().exit_code(), 0);
}

// It is no reason to give up what works.
TEST_F(LastKnownStateTest, OfAConfigurationThatCannotBeUsedGoesOn) {
  reboot_without_store();
  start();
  ASSERT_TRUE(run_until([&] { return is_as_planned(); }));
  store.config = R"({"Network":)";
  store.fail_with("");
  EXPECT_TRUE(run_until([&] { return state().fallback.get() == nullptr && is_as_planned(); }));
  EXPECT_NE(state().config_watch->trouble(), "");
  EXPECT_EQ(daemon().exit_code(), 0);
}

TEST_F(LastKnownStateTest, OfAnotherConfigurationEndsTheDaemonAndTheNextOneBeginsAnew) {
  reboot_without_store();
  start();
  ASSERT_TRUE(run_until([&] { return is_as_planned(); }));
  EXPECT_TRUE(state().fallback.get());
  EXPECT_FALSE(state().lease()->key.v6);
  offer_dual_stack();
  ASSERT_TRUE(run_until([&] { return daemon().exit_code() == 1; }));
  start();
  expect_dual_stack_alone();
}

// As another version of the program may have written it: it is none, and the store is waited for.
TEST_F(LastKnownStateTest, OfAConfigurationThatCannotBeUsedIsNone) {
  for (const char* config : {"junk", R"({"Network":"10.5.0.0/16","Backend":{"Type":"future"}})"}) {
    ASSERT_TRUE(file().write({config, peer(9, "198.18.0.2"), {}, {}}));
    store.fail_with("the store is away");
    const std::size_t failed = store.failed_calls();
    start();
    ASSERT_TRUE(run_until([&] { return store.failed_calls() >= failed + 3; }));
    EXPECT_EQ(state().reason, "Couldn't fetch network config: the store is away");
    EXPECT_FALSE(state().fallback.get());
    store.fail_with("");
    EXPECT_TRUE(run_until([&] { return is_as_planned(); })) << state().reason;
    EXPECT_NE(to_text(state().lease()->key), "10.5.9.0-24");
    crash();
  }
}

TEST_F(LastKnownStateTest, ACleanStopWritesTheNewestStateAlsoBehindAWriteThatIsUnderWay) {
  start();
  ASSERT_TRUE(run_until([&] { return file().read() && is_as_planned(); }));
  SlowDisk disk;
  store.put(peer(1, "198.18.1.1"));
  ASSERT_TRUE(run_until([&] { return disk.is_written_to(); }));
  store.put(peer(2, "198.18.1.2"));
  ASSERT_TRUE(run_until([&] { return state().peers()->usable().size() == 2; }));
  std::thread later([&] {
    std::this_thread::sleep_for(20ms);
    disk.answer();
  });
  daemon().stop();
  later.join();
  EXPECT_TRUE(io().stopped());
  EXPECT_EQ(written_peers(), (std::vector{peer(1, "198.18.1.1"), peer(2, "198.18.1.2")}));
}

TEST_F(LastKnownStateTest, ACleanStopWritesWhatTheLoopWouldHaveWrittenInAMoment) {
  timing.state_writer.delay = 1h;
  store.put(peer(1, "198.18.1.1"));
  start();
  ASSERT_TRUE(run_until([&] { return is_as_planned(); }));
  EXPECT_FALSE(file().read());
  daemon().stop();
  EXPECT_EQ(written_peers(), std::vector{peer(1, "198.18.1.1")});
}

TEST_F(LastKnownStateTest, ACleanStopDoesNotWaitForADiskThatNeverAnswers) {
  timing.state_writer.last_write = 20ms;
  start();
  ASSERT_TRUE(run_until([&] { return file().read() && is_as_planned(); }));
  SlowDisk disk;
  store.put(peer(1, "198.18.1.1"));
  ASSERT_TRUE(run_until([&] { return disk.is_written_to(); }));
  daemon().stop();
  EXPECT_TRUE(io().stopped()) << "and we are here";
  disk.answer();
  crash();
}

// At each moment of a write, as a reader finds the files where the machine lost its power then.
TEST_F(LastKnownStateTest, IsTheFormerOneOrTheNewOneAndNeverAHalf) {
  std::vector<Lease> former, next;
  for (unsigned i = 100; i < 220; ++i) {  // in the order of their keys' texts
    former.push_back(peer(i, fmt::format("198.18.1.{}", i)));
    next.push_back(peer(i, fmt::format("198.19.1.{}", i)));
  }
  const Lease own = peer(9, "198.18.0.2");
  ASSERT_TRUE(file().write({"former", own, former, {}}));
  unsigned moments = 0;
  const auto copy = [&] { return directory.path() / fmt::format("copy{}", moments); };
  {
    const DiskWrites writes([&] {
      ++moments;
      std::filesystem::copy(options.state_dir, copy());
    });
    ASSERT_TRUE(file().write({"next", own, next, {}}));
  }
  EXPECT_GT(moments, 20U);
  for (; moments > 0; --moments) {
    const Result<LastKnownState> found =
        LastKnownStateFile(copy(), "fake " + options.subnet_file).read();
    ASSERT_TRUE(found) << found.error().text;
    EXPECT_TRUE(found->peers == (found->config == "next" ? next : former)) << found->config;
  }
  EXPECT_TRUE(written_peers() == next);
}

}  // namespace
}  // namespace flannel

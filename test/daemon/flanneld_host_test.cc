// What others do to the host, and how soon it is answered.

#include <chrono>

#include "test/daemon/flanneld_fixture.h"

namespace flannel {
namespace {

class FlanneldHostTest : public FlanneldTest {
 protected:
  void start_with_peer() {
    ASSERT_TRUE(write_local_config(store(), kConfig));
    put(peer_lease("10.5.61.0-24"));
    start();
    ASSERT_TRUE(eventually([&] { return is_well(); })) << page("/status");
  }
  static bool has_route() {
    return run_program({"ip", "route"}).find("10.5.61.0/24") != std::string::npos;
  }
  bool is_well() const {
    return is_ready() && has_route() && waits_for(R"("state":"ready")") && page("/plan") == "200 ";
  }
};

// Also right after something else that meant nothing to us, as it does where pods come and go.
TEST_F(FlanneldHostTest, AnEndedConflictIsSeenAtOnceWhateverElseHappens) {
  start_with_peer();
  const auto begin = [&] {
    run_program({"ip", "addr", "add", "10.5.61.5/24", "dev", "lo"});
    EXPECT_TRUE(eventually([&] { return !has_route(); })) << page("/status");
    run_program({"ip", "link", "add", "pod0", "type", "veth", "peer", "name", "pod1"});
    run_program({"ip", "link", "del", "pod0"});
    ::usleep(300'000);  // they have been looked at
  };
  const auto end = [] { run_program({"ip", "addr", "del", "10.5.61.5/24", "dev", "lo"}); };
  for (int i = 0; i < 3; ++i) {
    EXPECT_TRUE(is_at_once(begin, end, [&] { return has_route(); })) << page("/status");
  }
}

TEST_F(FlanneldHostTest, ADeviceOfOursLeavesTheBridgeThatItWasPutInto) {
  start_with_peer();
  run_program({"ip", "link", "add", "bridge0", "type", "bridge"});
  run_program({"ip", "link", "set", "flannel.1", "master", "bridge0"});
  EXPECT_TRUE(eventually([&] {
    return is_well() &&
           run_program({"ip", "link", "show", "flannel.1"}).find("master") == std::string::npos;
  })) << page("/status");
}

// More specific routes of every kind, and one of IPv6 with a lower metric: ours is in place, and no
// packet takes it.
TEST_F(FlanneldHostTest, ARouteThatGoesBeforeOursIsNamedUntilItIsGone) {
  run_program({"ip", "addr", "add", "2001:db8::2/64", "dev", "eth0", "nodad"});
  run_program({"ip", "route", "add", "default", "via", "2001:db8::1"});
  ASSERT_TRUE(write_local_config(
      store(),
      R"({"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fc00:5::/48","Backend":{"Type":"vxlan"}})"));
  Lease peer = peer_lease("10.5.61.0-24&fc00:5:0:61::-64");
  peer.attrs.public_ipv6 = *IpAddr::parse("2001:db8::3");
  peer.attrs.backend_v6_data = peer.attrs.backend_data;
  put(peer);
  start();
  ASSERT_TRUE(eventually([&] { return is_well(); })) << page("/status");
  const std::pair<std::string, std::string> routes[] = {
      {"blackhole 10.5.61.0/25",
       "route blackhole 10.5.61.0/25 proto boot takes packets to "
       "10.5.61.0/24: remove it"},
      {"10.5.61.7/32 via 198.18.0.9 proto bird",
       "route 10.5.61.7/32 via 198.18.0.9 dev eth0 proto "
       "12 takes packets to 10.5.61.0/24: remove it"},
      {"prohibit fc00:5:0:61::/64 metric 5",
       "route prohibit fc00:5:0:61::/64 dev lo metric 5 proto boot takes packets to "
       "fc00:5:0:61::/64: remove it"}};
  for (const auto& [route, sentence] : routes) {
    const auto add = [&] {
      run_program({"ip", "-batch", "-"}, "route add " + route + "\n");
      EXPECT_TRUE(eventually([&] {
        return waits_for(sentence) && waits_for(R"("state":"degraded")") &&
               waits_for(R"("state":"failed")");
      })) << route
          << page("/status");
      EXPECT_EQ(page("/plan"), "200 # " + sentence + "; not flannel's, it stays\n");
      EXPECT_NE(log().find(sentence), std::string::npos) << log();
    };
    const auto remove = [&] { run_program({"ip", "-batch", "-"}, "route del " + route + "\n"); };
    EXPECT_TRUE(is_at_once(add, remove, [&] { return is_well(); })) << route << page("/status");
  }
}

// The kernel tells nothing of a route that goes with its link.
TEST_F(FlanneldHostTest, ARouteThatGoesWithItsLinkIsNoLongerNamed) {
  start_with_peer();
  run_program({"ip", "-batch", "-"},
              "link add pod0 type veth peer name pod1\nlink set pod0 up\nlink set pod1 up\n"
              "route add 10.5.61.7/32 dev pod0\n");
  ASSERT_TRUE(eventually([&] { return waits_for("takes packets to"); })) << page("/status");
  run_program({"ip", "link", "set", "pod0", "down"});
  EXPECT_TRUE(eventually([&] { return is_well(); })) << page("/status");
}

// Whatever the routes say: with --iface nothing else of the choice changes.
TEST_F(FlanneldHostTest, AnUnderlayThatIsDownOrHasNoCarrierIsSaidUntilItIsBack) {
  ASSERT_TRUE(write_local_config(store(), kConfig));
  put(peer_lease("10.5.61.0-24"));
  start({"--iface=eth0"});
  ASSERT_TRUE(eventually([&] { return is_well(); })) << page("/status");
  const std::pair<std::string, std::string> cases[] = {{"eth1", "eth0 has no carrier"},
                                                       {"eth0", "eth0 is down"}};
  for (const auto& [device, sentence] : cases) {
    run_program({"ip", "link", "set", device, "down"});
    EXPECT_TRUE(eventually([&] {
      return waits_for("interface: " + sentence) && waits_for(R"("state":"degraded")");
    })) << page("/status");
    EXPECT_TRUE(is_ready()) << "a restart would not mend it";
    EXPECT_TRUE(log().contains(sentence + "; keeping eth0")) << log();
    run_program({"ip", "link", "set", device, "up"});
    EXPECT_TRUE(eventually([&] { return is_well(); })) << page("/status");
  }
}

}  // namespace
}  // namespace flannel

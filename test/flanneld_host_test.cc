// What others do to the host, and how soon it is answered.

#include <chrono>

#include "test/flanneld_fixture.h"

namespace flannel {
namespace {

class FlanneldHostTest : public FlanneldTest {
 protected:
  void start_with_peer() {
    ASSERT_TRUE(write_local_config(store(), kConfig));
    const Lease peer = peer_lease("10.5.61.0-24");
    ASSERT_TRUE(put_local_leases(store(), std::span(&peer, 1)));
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
  for (int i = 0; i < 3; ++i) {
    run_program({"ip", "addr", "add", "10.5.61.5/24", "dev", "lo"});
    ASSERT_TRUE(eventually([&] { return !has_route(); })) << page("/status");
    run_program({"ip", "link", "add", "pod0", "type", "veth", "peer", "name", "pod1"});
    run_program({"ip", "link", "del", "pod0"});
    ::usleep(300'000);  // they have been looked at
    const auto ended = std::chrono::steady_clock::now();
    run_program({"ip", "addr", "del", "10.5.61.5/24", "dev", "lo"});
    EXPECT_TRUE(eventually([&] { return has_route(); })) << page("/status");
    EXPECT_LT(std::chrono::steady_clock::now() - ended, std::chrono::milliseconds(700));
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

}  // namespace
}  // namespace flannel

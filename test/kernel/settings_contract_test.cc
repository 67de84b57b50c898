// Settings of devices, on the fake and the real kernel: the cases of the suite in
// kernel_contract_test.cc that are about them.

#include "test/kernel/kernel_fixture.h"

namespace flannel {
namespace {

TEST_P(KernelContract, KeepsSettingsOfADeviceUntilItGoes) {
  const Sysctl setting{{"flannel.1", std::string(kAcceptRa)}, "0"};
  EXPECT_EQ(apply_one(Op::Verb::add, Sysctl{{"nosuch0", std::string(kDisableIpv6)}, "0"}).ok(),
            false);
  apply({{Op::Verb::add, device()}});
  EXPECT_NE(dump().of<Sysctl>().find(setting.key)->value, "0");
  apply({{Op::Verb::change, setting}});
  EXPECT_EQ(dump().of<Sysctl>().find(setting.key)->value, "0");
  apply({{Op::Verb::remove, device()}});
  EXPECT_TRUE(dump().of<Sysctl>().empty());
  apply({{Op::Verb::add, device()}});
  EXPECT_NE(dump().of<Sysctl>().find(setting.key)->value, "0");
}

TEST_P(KernelContract, WithAnMtuForIpv6ADeviceGetsTheSettingsOfANewOne) {
  const Sysctl setting{{"flannel.1", std::string(kAcceptRa)}, "0"};
  Link small = device();
  small.mtu = 1279;
  apply({{Op::Verb::add, device()}, {Op::Verb::change, setting}});
  apply({{Op::Verb::change, small}, {Op::Verb::change, device()}});
  EXPECT_NE(dump().of<Sysctl>().find(setting.key)->value, "0");
}

// Another part's kinds are as they were.
TEST_P(KernelContract, ADumpOfOneKindIsNoneOfAllOthers) {
  add(overlay());
  Snapshot snapshot = kernel_->dump(scope());
  outside(Op::Verb::change, Sysctl{{"flannel.1", std::string(kAcceptRa)}, "1"},
          "echo 1 > /proc/sys/net/ipv6/conf/flannel.1/accept_ra");
  outside(Op::Verb::remove, route(), "ip route del 10.5.61.0/24");
  const Sysctl::Key setting = overlay().of<Sysctl>().begin()->key;
  kernel_->dump(scope(), kinds<Sysctl>(), snapshot);
  EXPECT_EQ(snapshot.ours.of<Sysctl>().find(setting)->value, "1");
  EXPECT_NE(snapshot.ours.of<Route>().find(route().key), nullptr);
  kernel_->dump(scope(), kinds<Route>(), snapshot);
  EXPECT_EQ(snapshot.ours.of<Route>().find(route().key), nullptr);
  EXPECT_EQ(snapshot.ours.of<Sysctl>().find(setting)->value, "1");
}

}  // namespace
}  // namespace flannel

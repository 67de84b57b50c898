// What only the real kernel has: devices of others that are in the way of ours, or take them over.

#include "test/kernel/kernel_fixture.h"

namespace flannel {
namespace {

class RealDevices : public KernelContract {};

// A bridge takes what the device receives.
TEST_P(RealDevices, ADeviceOfOursThatGotAMasterIsTakenOut) {
  add(overlay());
  drain();
  shell("ip link add master0 type bridge && ip link set flannel.1 master master0");
  const Link found = *dump().of<Link>().begin();
  EXPECT_EQ(found.master, Dev("master0"));
  const Changes told = changes([&](const Changes& c) { return says(c, false, found); });
  EXPECT_TRUE(says(told, false, found));
  apply({{Op::Verb::change, device()}});
  EXPECT_EQ(to_text(dump()), to_text(overlay()));
}

TEST_P(RealDevices, AnotherDeviceWithOurVniIsNamed) {
  shell("ip link add other type vxlan id 1 dstport 8472 local 198.18.0.2");
  const OpResult refused = apply_one(Op::Verb::add, device());
  EXPECT_EQ(refused.error, EEXIST);
  EXPECT_EQ(refused.text,
            "other has VNI 1 and port 8472 too: remove it, or give this network a VNI of its own");
  shell("ip link del other && ip link add other type vxlan id 1 dstport 4789 local 198.18.0.2");
  apply({{Op::Verb::add, device()}});
}

// The index that it had is another's now.
TEST_P(RealDevices, WhatIsPutOnADeviceGoesToTheOneThatHasTheNameNow) {
  add(overlay());
  shell(
      "ip link set flannel.1 down && ip link set flannel.1 name former && "
      "ip link add flannel.1 type vxlan id 2 dstport 4789 local 198.18.0.2 && "
      "ip link set flannel.1 up");
  const Neighbour neighbour{{"flannel.1", *IpAddr::parse("10.5.77.0")},
                            *Mac::parse("02:00:00:00:00:77")};
  apply({{Op::Verb::add, neighbour}});
  shell("ip neigh show dev flannel.1 | grep -q 10.5.77.0");
  shell("ip link del flannel.1");
  EXPECT_EQ(apply_one(Op::Verb::add, neighbour).error, ENODEV);
}

// It is made in steps, of which the kernel tells; nothing of ours is on it before the last.
TEST_P(RealDevices, WhatLeadsToADeviceThatWeMakeIsNoNews) {
  for (const bool anew : {false, true}) {
    if (anew) {
      apply({{Op::Verb::remove, device()}});
    }
    add(overlay());
    const Changes told = changes([](const Changes& c) { return says(c, false, device()); });
    for (const Change& change : told.ours) {
      if (const Link* link = std::get_if<Link>(&change.object)) {
        EXPECT_FALSE(change.removed);
        EXPECT_EQ(link->text(), device().text());
      }
    }
  }
  Link down = device();
  down.up = false;
  shell("ip link set flannel.1 down && ip link set flannel.1 up");
  const Changes told = changes([&](const Changes& c) { return says(c, false, down); });
  EXPECT_TRUE(says(told, false, down)) << "others do that, and its routes are gone";
}

TEST_P(RealDevices, AListOfDevicesLeavesTheOthersAsTheyWere) {
  add(overlay());
  shell("ip addr add 192.0.2.1/32 dev flannel.1 && ip route add 192.0.2.0/24 dev flannel.1");
  Snapshot snapshot = kernel_->dump(scope());
  ASSERT_EQ(snapshot.foreign.size(), 2U);
  const NetState before = snapshot.ours;
  shell("ip link set flannel.1 mtu 1400 && ip addr flush dev flannel.1");
  kernel_->dump(scope(), kinds<Link>(), snapshot);
  EXPECT_EQ(snapshot.ours.of<Link>().begin()->mtu, 1400U);
  EXPECT_EQ(snapshot.ours.of<Address>(), before.of<Address>());
  EXPECT_EQ(snapshot.ours.of<Route>(), before.of<Route>());
  EXPECT_EQ(snapshot.foreign.size(), 2U);
}

// Of which the kernel does not tell (net/ipv4/fib_frontend.c, fib_disable_ip).
TEST_P(RealDevices, WithAddressesTheRoutesAreListedThatWentWithThem) {
  NetState overlay_without_nexthops = overlay();
  overlay_without_nexthops.of<Route>().put(plain_route());
  add(overlay_without_nexthops);
  Snapshot snapshot = kernel_->dump(scope());
  ASSERT_FALSE(snapshot.ours.of<Route>().empty());
  shell("ip addr flush dev flannel.1");
  kernel_->dump(scope(), kinds<Address>(), snapshot);
  EXPECT_TRUE(snapshot.ours.of<Address>().empty());
  EXPECT_TRUE(snapshot.ours.of<Route>().empty());
}

INSTANTIATE_TEST_SUITE_P(Kernels, RealDevices, testing::Values("real"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace flannel

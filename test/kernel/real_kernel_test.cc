// What only the real kernel has: objects of others in every state, and its notifications.

#include <system_error>

#include "reconcile/diff.h"
#include "reconcile/reconciler.h"
#include "test/kernel/kernel_fixture.h"

namespace flannel {
namespace {

// What only the real kernel has.
class RealKernel : public KernelContract {
 protected:
  HostKernel& kernel() { return dynamic_cast<HostKernel&>(*kernel_); }
};

class BrokenPart : public Part {
 public:
  KindSet kinds() const override { return flannel::kinds<Ruleset>(); }
  void dump(const Scope&, KindSet, Snapshot&) override {}
  std::vector<OpResult> apply(std::span<const Op>) override { return {}; }
  void changes(const Scope&, Changes&) override {
    throw std::system_error(EBADF, std::generic_category(), "broken");
  }
};

TEST_P(RealKernel, NewsOfOnePartAreNotLostWithAnother) {
  std::vector<std::unique_ptr<Part>> parts;
  parts.push_back(std::make_unique<BrokenPart>());
  HostKernel kernel(std::move(parts));
  shell("ip link set eth0 mtu 1400");
  const Changes changes = kernel.changes(scope());
  EXPECT_FALSE(changes.host.empty());
  EXPECT_EQ(changes.dump_needed, kinds<Ruleset>());
}

TEST_P(RealKernel, EntriesThatAreNotPermanentAreNotOurs) {
  add(overlay());
  shell("bridge fdb add 02:00:00:00:00:77 dev flannel.1 dst 198.18.0.7 self dynamic");
  shell("ip neigh add 10.5.77.0 lladdr 02:00:00:00:00:77 dev flannel.1 nud reachable");
  shell("bridge fdb append 00:00:00:00:00:00 dev flannel.1 dst 198.18.0.8");
  EXPECT_EQ(to_text(dump()), to_text(overlay()));
}

TEST_P(RealKernel, TakesOverWhatTheReferenceLeft) {
  apply({{Op::Verb::add, device()}, {Op::Verb::add, *overlay().of<Address>().begin()}});
  shell("ip route add 10.5.61.0/24 via 10.5.61.0 dev flannel.1 onlink");
  Route boot = plain_route();
  boot.protocol = RTPROT_BOOT;
  ASSERT_EQ(to_text(Object(*dump().of<Route>().begin())), to_text(Object(boot)));
  apply({{Op::Verb::add, nexthop()}, {Op::Verb::change, route()}});
  EXPECT_EQ(to_text(Object(*dump().of<Route>().begin())), to_text(Object(route())));
  EXPECT_EQ(dump().of<Route>().size(), 1U);
}

// They have our name and send what they should not: the reconciler makes them anew.
TEST_P(RealKernel, ADeviceWithAGroupOrThatReportsMissesIsSeenToBeAnother) {
  add(overlay());
  const Vxlan ours = std::get<Vxlan>(dump().of<Link>().begin()->kind);
  for (const char* option : {"group 239.1.1.1", "l2miss"}) {
    shell("ip link del flannel.1");
    shell(std::string("ip link add flannel.1 type vxlan id 1 local 198.18.0.2 dev eth0 dstport "
                      "8472 nolearning ") +
          option);
    const Vxlan found = std::get<Vxlan>(dump().of<Link>().begin()->kind);
    EXPECT_NE(found, ours) << option;
    EXPECT_FALSE(device().changes_in_place(*dump().of<Link>().begin())) << option;
  }
}

// A VPN's device, and one without ARP.
TEST_P(RealKernel, AWayTellsWhetherNodesShareItsLink) {
  shell(
      "ip tuntap add vpn0 mode tun && ip addr add 198.18.7.2/24 dev vpn0 && "
      "ip link set vpn0 up && ip link add eth2 type veth peer name eth3 && "
      "ip addr add 198.18.8.2/24 dev eth2 && ip link set eth2 up arp off");
  kernel().dump(scope());
  const IpAddr to[] = {*IpAddr::parse("198.18.0.9"), *IpAddr::parse("198.18.7.9"),
                       *IpAddr::parse("198.18.8.9"), *IpAddr::parse("2001:db8::1")};
  const std::vector<Path> paths = kernel().paths(to);
  EXPECT_EQ(paths[0], (Path{"eth0", {}, *IpAddr::parse("198.18.0.2"), true}));
  EXPECT_EQ(paths[1], (Path{"vpn0", {}, *IpAddr::parse("198.18.7.2"), false}));
  EXPECT_EQ(paths[2], (Path{"eth2", {}, *IpAddr::parse("198.18.8.2"), false}));
  EXPECT_TRUE(paths[3].dev.empty());
  kernel().changes(scope());
  shell("ip link set eth2 arp on");
  EXPECT_EQ(kernel().changes(scope()).host.links, std::vector<Dev>{"eth2"});
  EXPECT_TRUE(kernel().paths({&to[2], 1})[0].shared_link);
}

TEST_P(RealKernel, NexthopIdsOfOthersAreListed) {
  shell("ip nexthop add id 1048590 via 198.18.0.9 dev eth0 proto static");
  shell("ip nexthop add id 5 via 198.18.0.9 dev eth0 proto static");
  EXPECT_EQ(kernel().dump(scope()).taken_nexthops, std::vector<std::uint32_t>{1048590});
}

TEST_P(RealKernel, OwnWritesAreNotTakenForSomebodyElses) {
  add(overlay());
  drain();
  Link link = device();
  link.mtu = 1400;
  apply({{Op::Verb::change, link}});
  drain();
  apply({{Op::Verb::change, Neighbour{{"flannel.1", base()}, Mac::local(8)}}});
  const Changes echo = changes([](const Changes& c) { return !c.ours.empty(); });
  EXPECT_FALSE(echo.dump_needed.any());
  EXPECT_TRUE(echo.host.empty());
}

TEST_P(RealKernel, TellsWhenTheHostChanges) {
  kernel().host();
  drain();
  shell("ip addr add 198.18.0.77/24 dev eth0");
  const Changes told = changes([](const Changes& c) { return !c.host.links.empty(); });
  EXPECT_TRUE(told.host.concern_interfaces());
  EXPECT_EQ(told.host.links.front(), Dev("eth0"));
  EXPECT_FALSE(told.dump_needed.any());
}

TEST_P(RealKernel, TellsOfWhateverMayChangeAWay) {
  for (const char* change :
       {"ip route add unreachable 203.0.113.0/24", "ip route del unreachable 203.0.113.0/24",
        "ip route add 203.0.113.0/24 dev eth0 table 77"}) {
    drain();
    shell(change);
    const Changes told = changes([](const Changes& c) { return !c.host.routes.empty(); });
    EXPECT_EQ(told.host.routes, std::vector<Prefix>{*Prefix::parse("203.0.113.0/24")}) << change;
    EXPECT_TRUE(told.ours.empty()) << change;
  }
  for (const char* change :
       {"ip rule add to 203.0.113.0/24 table 77", "ip -6 rule add to 2001:db8::/64 table 77",
        "ip rule del to 203.0.113.0/24 table 77"}) {
    drain();
    shell(change);
    EXPECT_TRUE(changes([](const Changes& c) { return c.host.all; }).host.all) << change;
  }
}

TEST_P(RealKernel, ARouteOfAnotherKindInPlaceOfOursIsSeen) {
  add(overlay());
  const Route ours = plain_route();
  apply({{Op::Verb::add, ours}});
  drain();
  shell("ip route replace blackhole " + ours.key.dst.to_text());
  const Changes told = changes([](const Changes& c) { return !c.ours.empty(); });
  ASSERT_FALSE(told.ours.empty());
  EXPECT_TRUE(told.ours[0].removed);
  EXPECT_EQ(std::get<Route>(told.ours[0].object).key, ours.key);
  apply({{Op::Verb::add, ours}});
  EXPECT_EQ(dump().of<Route>().size(), 1U);
}

// With them the kernel drops routes and nexthops without a word.
TEST_P(RealKernel, TellsWhenALinkChangesThatOurRoutesLeaveBy) {
  Route route = plain_route();
  route.via = *IpAddr::parse("198.18.0.3");
  route.dev = "eth0";
  route.onlink = false;
  for (const char* change :
       {"ip addr del 198.18.0.2/24 dev eth0", "ip link set eth0 down", "ip link del eth0"}) {
    shell("ip link set eth0 up && ip addr replace 198.18.0.2/24 dev eth0");
    apply({{Op::Verb::add, route}});
    dump();
    drain();
    shell(change);
    const std::function<bool(const Changes&)> of_eth0 = [](const Changes& c) {
      return std::ranges::find(c.host.links, Dev("eth0")) != c.host.links.end();
    };
    EXPECT_TRUE(of_eth0(changes(of_eth0))) << change;
    EXPECT_TRUE(dump().of<Route>().empty()) << change;
  }
}

TEST_P(RealKernel, AnOverrunOfNotificationsAsksForADump) {
  add(overlay());
  drain();
  RtnetlinkPart listener;
  const int small = 2048;
  ASSERT_EQ(::setsockopt(listener.notify_fd(), SOL_SOCKET, SO_RCVBUFFORCE, &small, sizeof small),
            0);
  std::vector<Op> ops;
  for (std::uint32_t i = 0; i < 500; ++i) {
    ops.push_back(
        {Op::Verb::add,
         Neighbour{{"flannel.1", IpAddr::from_number(Family::v4, 0x0a056000 + i)}, Mac::local(i)}});
  }
  apply(ops);
  Changes changes;
  listener.changes(scope(), changes);
  EXPECT_EQ(changes.dump_needed, listener.kinds());
}

// A peer's IPv6 subnet moves from the underlay to the tunnel. The kernel looks for the new gateway
// by way of the route that is to be moved.
TEST_P(RealKernel, AnIpv6RouteMovesToTheTunnel) {
  shell("ip addr add fd99::2/64 dev eth0 nodad");
  const IpAddr base = *IpAddr::parse("fc00:5:0:61::");
  for (const bool nexthops : {true, false}) {
    Link v6 = device();
    std::get<Vxlan>(v6.kind).local = *IpAddr::parse("fd99::2");
    Nexthop nexthop{{0x100007}, *IpAddr::parse("fd99::3"), "eth0", false};
    Route route;
    route.key = {{base, 64}, 1024};
    if (nexthops) {
      route.nexthop = 0x100007;
    } else {
      route.via = nexthop.via;
      route.dev = nexthop.dev;
    }
    apply({{Op::Verb::add, v6}});
    if (nexthops) {
      apply({{Op::Verb::add, nexthop}, {Op::Verb::add, route}});
      apply({{Op::Verb::change, Nexthop{{0x100007}, base, "flannel.1", true}}});
    } else {
      apply({{Op::Verb::add, route}});
      route.via = base;
      route.dev = "flannel.1";
      route.onlink = true;
      apply({{Op::Verb::change, route}});
    }
    EXPECT_EQ(to_text(Object(*dump().of<Route>().begin())), to_text(Object(route)));
    EXPECT_EQ(dump().of<Route>().size(), 1U);
    apply({{Op::Verb::remove, v6}});
  }
}

// The same for one whose nexthop object is new, as when the backend changes.
TEST_P(RealKernel, AnIpv6RouteMovesToANewNexthop) {
  shell("ip addr add fd99::2/64 dev eth0 nodad");
  const IpAddr base = *IpAddr::parse("fc00:5:0:61::");
  shell("ip -6 route add fc00:5:0:61::/64 via fd99::3 dev eth0");
  Link v6 = device();
  std::get<Vxlan>(v6.kind).local = *IpAddr::parse("fd99::2");
  Route route;
  route.key = {{base, 64}, 1024};
  route.nexthop = 0x100007;
  apply({{Op::Verb::add, v6},
         {Op::Verb::add, Nexthop{{0x100007}, base, "flannel.1", true}},
         {Op::Verb::add, route}});
  EXPECT_EQ(to_text(Object(*dump().of<Route>().begin())), to_text(Object(route)));
  EXPECT_EQ(dump().of<Route>().size(), 1U);
}

TEST_P(RealKernel, AnFdbEntryWithAPortVniOrDeviceOfItsOwnDiffersAndIsHealed) {
  add(overlay());
  const FdbEntry wanted = *overlay().of<FdbEntry>().begin();
  for (const char* field : {"port 9999", "vni 77", "via eth0"}) {
    shell(std::string("bridge fdb replace 02:00:00:00:00:61 dev flannel.1 dst 198.18.0.3 ") +
          field);
    const FdbEntry found = *dump().of<FdbEntry>().begin();
    EXPECT_EQ(found.key, wanted.key) << field;
    EXPECT_NE(found, wanted) << field;
    apply({{Op::Verb::change, wanted}});
    EXPECT_EQ(*dump().of<FdbEntry>().begin(), wanted) << field;
  }
}

TEST_P(RealKernel, AnMtuThatIsRefusedKeepsNothingElseBack) {
  add(overlay());
  shell("ip link set flannel.1 down alias other address 02:00:00:00:00:99");
  Link link = device();
  link.mtu = 9000;  // more than eth0 carries
  EXPECT_EQ(apply_one(Op::Verb::change, link).error, EINVAL);
  link.mtu = 1450;
  EXPECT_EQ(to_text(Object(*dump().of<Link>().begin())), to_text(Object(link)));
}

TEST_P(RealKernel, WhatIsPutInFrontOfOursGivesWayOrIsNamed) {
  shell("ip addr add fd99::2/64 dev eth0 nodad");
  add(overlay());
  const std::string ours = to_text(dump());
  for (const char* front : {"blackhole 10.5.61.0/24", "unreachable 10.5.61.0/24 proto static",
                            "10.5.61.0/24 via 198.18.0.9 dev eth0 proto static"}) {
    shell(std::string("ip route prepend ") + front);
    apply({{Op::Verb::add, route()}});
    EXPECT_EQ(to_text(dump()), ours) << front;
    shell("test $(ip route show 10.5.61.0/24 | wc -l) = 1");
  }
  shell("ip route prepend blackhole 10.5.61.0/24 proto bird");
  EXPECT_EQ(apply_one(Op::Verb::add, route()).text,
            "blackhole 10.5.61.0/24 proto 12 is in the way");
  shell("ip -6 route add fc00:5:0:61::/64 dev eth0 proto kernel metric 1024");
  Route v6;
  v6.key = {*Prefix::parse("fc00:5:0:61::/64"), 1024};
  v6.via = *IpAddr::parse("fc00:5:0:61::");
  v6.dev = "flannel.1";
  v6.onlink = true;
  EXPECT_EQ(apply_one(Op::Verb::add, v6).text,
            "fc00:5:0:61::/64 dev eth0 metric 1024 proto kernel is in the way");
}

TEST_P(RealKernel, WhatAnAdministratorPutOnOurLinkOutsideOurNetworksIsNotOurs) {
  add(overlay());
  shell(
      "ip addr add 192.0.2.7/32 dev flannel.1 && "
      "ip neigh add 172.16.0.1 lladdr 02:00:00:00:00:61 dev flannel.1 nud permanent && "
      "ip route add 172.16.0.0/16 via 10.5.61.0 dev flannel.1 onlink proto static");
  EXPECT_EQ(to_text(dump()), to_text(overlay()));
}

// The kernel uses the first route of a destination and metric alone.
TEST_P(RealKernel, OfSeveralRoutesOfOneKeyTheFirstCounts) {
  add(overlay());
  const std::string dst = route().key.dst.to_text();
  shell("ip route prepend " + dst + " via 198.18.0.9 dev eth0 proto bird");
  NetState is = dump();
  ASSERT_EQ(is.of<Route>().size(), 1U);
  EXPECT_EQ(is.of<Route>().begin()->key.place, 1U) << "ours does not count";
  EXPECT_TRUE(apply_one(Op::Verb::add, route()).text.ends_with("is in the way"));
  shell("ip route del " + dst + " proto bird");
  EXPECT_EQ(to_text(dump()), to_text(overlay()));
  // One that others appended on our device is surplus, and goes by itself.
  shell("ip route append " + dst + " dev flannel.1");
  is = dump();
  ASSERT_EQ(is.of<Route>().size(), 2U);
  const Route behind = *std::prev(is.of<Route>().end());
  EXPECT_EQ(behind.key.place, 1U);
  apply({{Op::Verb::remove, behind}});
  EXPECT_EQ(to_text(dump()), to_text(overlay()));
}

TEST_P(RealKernel, WhatAnAdministratorPutOnOurDeviceIsListedAndNotOurs) {
  add(overlay());
  shell("ip addr add 192.0.2.7/32 dev flannel.1");
  shell("ip route add 172.16.0.0/16 via 10.5.61.0 dev flannel.1 onlink proto static");
  shell("ip neigh add 172.16.0.1 lladdr 02:00:00:00:16:01 dev flannel.1 nud permanent");
  shell("bridge fdb add 02:00:00:00:16:01 dev flannel.1 dst 198.18.0.16");
  EXPECT_EQ(to_text(dump()), to_text(overlay()));
  std::string foreign;
  for (const Object& object : kernel().dump(scope()).foreign) {
    foreign += to_text(object) + "\n";
  }
  EXPECT_EQ(foreign,
            "addr 192.0.2.7/32 dev flannel.1\n"
            "neigh 172.16.0.1 lladdr 02:00:00:00:16:01 dev flannel.1\n"
            "route 172.16.0.0/16 via 10.5.61.0 dev flannel.1 onlink proto static\n"
            "fdb 02:00:00:00:16:01 dev flannel.1 dst 198.18.0.16\n");
}

// The kernel puts ours in the place of the blackhole behind what is there.
TEST_P(RealKernel, AForeignRouteBehindOursIsNotTakenForOurs) {
  NetState want = overlay();
  const IpAddr gateway = *IpAddr::parse("fc00:5:0:61::");
  Route plain;
  plain.key = {{gateway, 64}, 1024};
  plain.via = gateway;
  plain.dev = "flannel.1";
  plain.onlink = true;
  want.of<Route>().put(plain);
  asio::io_context io;
  Reconciler reconciler(io.get_executor(), *kernel_, scope(),
                        {.plan = [&](const Snapshot&) { return want; }}, {});
  reconciler.pass();
  ASSERT_EQ(to_text(dump()), to_text(want));
  shell("ip route append blackhole fc00:5:0:61::/64 metric 1024 proto 99");
  Route through;
  through.key = plain.key;
  through.nexthop = 0x100008;
  want.of<Nexthop>().put({{0x100008}, gateway, "flannel.1", true});
  want.of<Route>().put(through);
  for (int i = 0; i < 4; ++i) {
    reconciler.process_notifications();
    reconciler.pass();
  }
  EXPECT_EQ(to_text(dump()), to_text(want));
  EXPECT_TRUE(reconciler.report().problems.empty());
}

TEST_P(RealKernel, OurDevicesHaveIpv6WhereTheHostHasItOffByDefault) {
  shell("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
  add(overlay());
  const Address v6{{"flannel.1", *Prefix::parse("fc00:5:0:60::/128")}};
  apply({{Op::Verb::change, Sysctl{{"flannel.1", std::string(kDisableIpv6)}, "0"}},
         {Op::Verb::add, v6}});
  EXPECT_NE(dump().of<Address>().find(v6.key), nullptr);
}

INSTANTIATE_TEST_SUITE_P(Kernels, RealKernel, testing::Values("real"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace flannel

// What the reconciler relies on, checked on the fake kernel and on the real one.

#include "reconcile/diff.h"
#include "test/kernel/kernel_fixture.h"

namespace flannel {
namespace {

TEST_P(KernelContract, KeepsWhatItIsGiven) {
  EXPECT_EQ(to_text(dump()), "");
  add(overlay());
  EXPECT_EQ(to_text(dump()), to_text(overlay()));
}

TEST_P(KernelContract, KeepsIpv6) {
  NetState state;
  Link link = device();
  state.of<Link>().put(link);
  state.of<Sysctl>() = overlay().of<Sysctl>();
  const IpAddr v6 = *IpAddr::parse("fc00:5:0:61::");
  state.of<Address>().put({{"flannel.1", {*IpAddr::parse("fc00:5:0:60::"), 128}}});
  state.of<Neighbour>().put({{"flannel.1", v6}, peer_mac()});
  state.of<FdbEntry>().put({{"flannel.1", peer_mac()}, *IpAddr::parse("198.18.0.3")});
  state.of<Nexthop>().put({{0x100008}, v6, "flannel.1", true});
  Route through;
  through.key = {{v6, 64}, 1024};
  through.nexthop = 0x100008;
  state.of<Route>().put(through);
  Route plain;
  plain.key = {{*IpAddr::parse("fc00:5:0:62::"), 64}, 1024};
  plain.via = *IpAddr::parse("fc00:5:0:62::");
  plain.dev = "flannel.1";
  plain.onlink = true;
  state.of<Route>().put(plain);
  add(state);
  EXPECT_EQ(to_text(dump()), to_text(state));
}

TEST_P(KernelContract, KeepsEveryVxlanAttribute) {
  Link link = device();
  link.kind = Vxlan{42, *IpAddr::parse("198.18.0.9"), "eth0", 4789, true, true};
  link.mtu = 1300;
  apply({{Op::Verb::add, link}});
  ASSERT_EQ(dump().of<Link>().size(), 1U);
  EXPECT_EQ(dump().of<Link>().begin()->text(), link.text());
}

TEST_P(KernelContract, WithALinksMacGoItsNeighbours) {
  add(overlay());
  NetState want = overlay();
  Link link = device();
  link.mac = *Mac::parse("02:00:00:00:00:99");
  apply({{Op::Verb::change, link}});
  want.of<Link>().put(link);
  want.of<Neighbour>() = {};
  EXPECT_EQ(to_text(dump()), to_text(want));
}

TEST_P(KernelContract, ARouteWhoseNexthopIsGoneIsRemovedWithSuccess) {
  add(overlay());
  apply({{Op::Verb::remove, nexthop()}, {Op::Verb::remove, route()}});
  EXPECT_TRUE(dump().of<Route>().empty());
}

TEST_P(KernelContract, ChangesALinkInPlace) {
  add(overlay());
  NetState want = overlay();
  Link link = device();
  link.mtu = 1400;
  std::get<Vxlan>(link.kind).learning = true;
  apply({{Op::Verb::change, link}});
  want.of<Link>().put(link);
  EXPECT_EQ(to_text(dump()), to_text(want));
}

TEST_P(KernelContract, ChangesObjectsInPlace) {
  add(overlay());
  NetState want = overlay();
  want.of<Neighbour>().put({{"flannel.1", base()}, Mac::local(5)});
  want.of<FdbEntry>().put({{"flannel.1", peer_mac()}, *IpAddr::parse("198.18.0.99")});
  Nexthop moved = nexthop();
  moved.via = *IpAddr::parse("198.18.0.99");
  moved.dev = "eth0";
  moved.onlink = false;
  want.of<Nexthop>().put(moved);
  apply({{Op::Verb::change, *want.of<Neighbour>().begin()},
         {Op::Verb::change, *want.of<FdbEntry>().begin()},
         {Op::Verb::change, moved}});
  EXPECT_EQ(to_text(dump()), to_text(want));
}

TEST_P(KernelContract, ARouteMayChangeItsForm) {
  add(overlay());
  apply({{Op::Verb::change, plain_route()}});
  NetState want = overlay();
  want.of<Route>().put(plain_route());
  EXPECT_EQ(to_text(dump()), to_text(want));
  apply({{Op::Verb::change, route()}});
  EXPECT_EQ(to_text(dump()), to_text(overlay()));
}

TEST_P(KernelContract, RemovesWhatItIsTold) {
  add(overlay());
  std::vector<Op> ops = ops_for(Op::Verb::remove, overlay());
  std::reverse(ops.begin(), ops.end());
  apply(ops);
  EXPECT_EQ(to_text(dump()), "");
}

TEST_P(KernelContract, WhatIsGoneAlreadyIsRemovedWithSuccess) {
  apply(ops_for(Op::Verb::remove, overlay()));
  add(overlay());
  NetState without = overlay();
  without.of<Link>() = {};
  apply(ops_for(Op::Verb::remove, without));
  apply(ops_for(Op::Verb::remove, without));
}

TEST_P(KernelContract, PuttingAgainWhatIsThereIsSuccess) {
  add(overlay());
  apply({{Op::Verb::add, *overlay().of<Address>().begin()},
         {Op::Verb::add, *overlay().of<Neighbour>().begin()},
         {Op::Verb::add, *overlay().of<FdbEntry>().begin()},
         {Op::Verb::add, *overlay().of<Route>().begin()}});
  EXPECT_EQ(to_text(dump()), to_text(overlay()));
}

TEST_P(KernelContract, AFailureIsNamedAndTheRestIsDone) {
  Neighbour lost{{"nosuch0", base()}, peer_mac()};
  Route dangling = route();
  dangling.key.dst = *Prefix::parse("10.5.99.0/24");
  dangling.nexthop = 0x100099;
  std::vector<Op> ops = ops_for(Op::Verb::add, overlay());
  ops.insert(ops.begin() + 1, {Op::Verb::add, lost});
  ops.insert(ops.begin() + 4, {Op::Verb::add, dangling});
  const std::vector<OpResult> results = kernel_->apply(ops);
  for (std::size_t i = 0; i < ops.size(); ++i) {
    EXPECT_EQ(results[i].ok(), i != 1 && i != 4) << to_text(ops[i]) << ": " << results[i].text;
    EXPECT_EQ(results[i].text.empty(), results[i].ok());
  }
  EXPECT_EQ(results[1].error, ENODEV);
  EXPECT_EQ(results[4].error, EINVAL);
  EXPECT_EQ(to_text(dump()), to_text(overlay()));
}

TEST_P(KernelContract, ManyFailuresAmongManySuccessesAreEachTold) {
  add(overlay());
  std::vector<Op> ops;
  for (std::uint32_t i = 0; i < 3000; ++i) {
    Route r = route();
    r.key.dst = {IpAddr::from_number(Family::v4, 0x0a050000 + (i << 4)), 28};
    r.nexthop = i % 3 == 0 ? 0x100099 : 0x100007;
    ops.push_back({Op::Verb::add, r});
  }
  const std::vector<OpResult> results = kernel_->apply(ops);
  for (std::uint32_t i = 0; i < 3000; ++i) {
    ASSERT_EQ(results[i].ok(), i % 3 != 0) << i << ": " << results[i].text;
  }
}

TEST_P(KernelContract, ANexthopOfSomebodyElseIsNotOverwritten) {
  add(overlay());
  Nexthop other = nexthop();
  other.via = *IpAddr::parse("10.5.99.0");
  EXPECT_EQ(apply_one(Op::Verb::add, other).error, EEXIST);
  EXPECT_EQ(to_text(dump()), to_text(overlay()));
}

TEST_P(KernelContract, WithALinkGoesEverythingOnIt) {
  add(overlay());
  apply({{Op::Verb::remove, device()}});
  EXPECT_EQ(to_text(dump()), "");
}

TEST_P(KernelContract, TellsOfADeletedLink) {
  add(overlay());
  drain();
  outside(Op::Verb::remove, device(), "ip link del flannel.1");
  const Changes told = changes([](const Changes& c) { return says_gone(c, device()); });
  EXPECT_TRUE(says_gone(told, device()));
  EXPECT_EQ(to_text(dump()), "");
}

// Whoever asks for a dump meanwhile (flannelctl plan) must not make a change disappear for the one
// who follows the notifications.
TEST_P(KernelContract, TellsOfAChangeThatADumpHasSeenAlready) {
  add(overlay());
  drain();
  Link down = device();
  down.up = false;
  outside(Op::Verb::change, down, "ip link set flannel.1 down");
  EXPECT_FALSE(dump().of<Link>().begin()->up);
  EXPECT_TRUE(says(changes([&](const Changes& c) { return says(c, false, down); }), false, down));
  outside(Op::Verb::remove, device(), "ip link del flannel.1");
  EXPECT_TRUE(dump().of<Link>().empty());
  EXPECT_TRUE(
      says_gone(changes([](const Changes& c) { return says_gone(c, device()); }), device()));
}

TEST_P(KernelContract, TellsOfALinkThatWentDownWithItsRoutes) {
  add(overlay());
  drain();
  Link down = device();
  down.up = false;
  outside(Op::Verb::change, down, "ip link set flannel.1 down");
  EXPECT_TRUE(says(changes([&](const Changes& c) { return says(c, false, down); }), false, down));
  const NetState left = dump();
  EXPECT_FALSE(left.of<Link>().begin()->up);
  EXPECT_TRUE(left.of<Route>().empty());
  EXPECT_TRUE(left.of<Nexthop>().empty());
}

TEST_P(KernelContract, TellsOfEachRemovedObject) {
  add(overlay());
  drain();
  const std::pair<Object, std::string> objects[] = {
      {*overlay().of<Route>().begin(), "ip route del 10.5.61.0/24"},
      {*overlay().of<Nexthop>().begin(), "ip nexthop del id 1048583"},
      {*overlay().of<FdbEntry>().begin(),
       "bridge fdb del 02:00:00:00:00:61 dev flannel.1 dst 198.18.0.3"},
      {*overlay().of<Neighbour>().begin(), "ip neigh del 10.5.61.0 dev flannel.1"},
      {*overlay().of<Address>().begin(), "ip addr del 10.5.60.0/32 dev flannel.1"},
  };
  for (const auto& [object, command] : objects) {
    outside(Op::Verb::remove, object, command);
    const auto told = [&](const Changes& c) {
      return std::any_of(c.ours.begin(), c.ours.end(), [&](const Change& change) {
        return change.removed && same_key(change.object, object);
      });
    };
    EXPECT_TRUE(told(changes(told))) << to_text(object);
  }
}

TEST_P(KernelContract, TellsOfAChangedNeighbour) {
  add(overlay());
  drain();
  const Neighbour changed{{"flannel.1", base()}, Mac::local(7)};
  outside(Op::Verb::change, changed,
          "ip neigh replace 10.5.61.0 lladdr 02:00:00:00:00:07 dev flannel.1 nud permanent");
  const auto told = [&](const Changes& c) { return says(c, false, changed); };
  EXPECT_TRUE(told(changes(told)));
}

TEST_P(KernelContract, LeavesForeignObjectsOut) {
  add(overlay());
  Link other = device("other.9", 9);
  other.alias = "";
  apply({{Op::Verb::add, other}});
  Route elsewhere = plain_route();  // ours by number, but of another network
  elsewhere.key.dst = *Prefix::parse("10.9.1.0/24");
  elsewhere.dev = "other.9";
  Route of_somebody = plain_route();  // in our network, but not by our number
  of_somebody.key.dst = *Prefix::parse("10.5.77.0/24");
  of_somebody.dev = "other.9";
  of_somebody.protocol = RTPROT_STATIC;
  apply({{Op::Verb::add, elsewhere}, {Op::Verb::add, of_somebody}});
  EXPECT_EQ(to_text(dump()), to_text(overlay()));
}

TEST_P(KernelContract, AnOrphanWithOurAliasIsFound) {
  Link orphan = device("flannel.7", 7);
  apply({{Op::Verb::add, orphan}});
  ASSERT_EQ(dump().of<Link>().size(), 1U);
  EXPECT_EQ(dump().of<Link>().begin()->text(), orphan.text());
}

TEST_P(KernelContract, ShowsTheHost) {
  const HostView host = host_->host();
  const auto eth0 = std::find_if(host.interfaces.begin(), host.interfaces.end(),
                                 [](const HostInterface& i) { return i.name == Dev("eth0"); });
  ASSERT_NE(eth0, host.interfaces.end());
  EXPECT_EQ(eth0->mtu, 1500U);
  EXPECT_TRUE(eth0->up);
  ASSERT_FALSE(eth0->addresses.empty());
  EXPECT_EQ(eth0->addresses[0].prefix.to_text(), "198.18.0.2/24");
  EXPECT_TRUE(eth0->addresses[0].permanent);
  ASSERT_EQ(host.default_routes.size(), 1U);
  EXPECT_EQ(host.default_routes[0].dev, Dev("eth0"));
  EXPECT_EQ(host.default_routes[0].gateways, std::vector{*IpAddr::parse("198.18.0.1")});
}

TEST_P(KernelContract, TellsTheWayToAnAddress) {
  const IpAddr to[] = {*IpAddr::parse("198.18.0.9"), *IpAddr::parse("203.0.113.1"),
                       *IpAddr::parse("2001:db8::1")};
  if (FakeKernel* fake = dynamic_cast<FakeKernel*>(kernel_.get())) {
    fake->gateway = *IpAddr::parse("198.18.0.1");
  }
  dump();
  const std::vector<Path> paths = host_->paths(to);
  ASSERT_EQ(paths.size(), 3U);
  EXPECT_EQ(paths[0], (Path{"eth0", std::nullopt, *IpAddr::parse("198.18.0.2")}));
  EXPECT_EQ(paths[1], (Path{"eth0", *IpAddr::parse("198.18.0.1"), *IpAddr::parse("198.18.0.2")}));
  EXPECT_TRUE(paths[2].dev.empty());
}

// What the reference's host-gw made, which looks like any administrator's route.
TEST_P(KernelContract, RoutesThatTheReferenceMayHaveLeftAreListedAndNotOurs) {
  Route left;
  left.key.dst = *Prefix::parse("10.5.70.0/24");
  left.via = *IpAddr::parse("198.18.0.9");
  left.dev = "eth0";
  left.protocol = RTPROT_BOOT;
  outside(Op::Verb::add, left, "ip route add 10.5.70.0/24 via 198.18.0.9 dev eth0");
  const Snapshot found = kernel_->dump(scope());
  EXPECT_TRUE(found.ours.of<Route>().empty());
  ASSERT_EQ(found.leftovers.size(), 1U);
  EXPECT_EQ(to_text(Object(*found.leftovers.begin())), to_text(Object(left)));
  Scope adopting = scope();
  adopting.adopt_stale = true;
  EXPECT_EQ(kernel_->dump(adopting).ours.of<Route>().size(), 1U);
  EXPECT_TRUE(kernel_->dump(adopting).leftovers.empty());
}

TEST_P(KernelContract, ADeviceOfOurNameThatAnotherNetworkHadIsMadeAnewAndNothingStaysOnIt) {
  Link others = device();
  others.alias = "flannel 10.6.0.0/16";
  Address address = *overlay().of<Address>().begin();
  address.key.prefix.ip = *IpAddr::parse("10.6.7.0");
  Neighbour neighbour{{"flannel.1", *IpAddr::parse("10.6.61.0")}, peer_mac()};
  apply({{Op::Verb::add, others}, {Op::Verb::add, address}, {Op::Verb::add, neighbour}});
  apply(diff(overlay(), dump()));
  EXPECT_EQ(to_text(dump()), to_text(overlay()));
  const Snapshot found = kernel_->dump(scope());
  EXPECT_TRUE(found.foreign.empty()) << to_text(found.foreign.front());
}

// Of the kernel, DHCP, router advertisements, routing daemons (here BIRD).
TEST_P(KernelContract, ARouteThatIsNotOursIsNeverReplacedAndIsNamed) {
  add(overlay());
  for (const int protocol : {RTPROT_KERNEL, RTPROT_DHCP, RTPROT_RA, RTPROT_BIRD}) {
    Route others;
    others.key.dst = *Prefix::parse("10.5.7.0/24");
    others.dev = "eth0";
    others.protocol = static_cast<std::uint8_t>(protocol);
    outside(Op::Verb::add, others,
            "ip route add 10.5.7.0/24 dev eth0 proto " + std::to_string(protocol));
    Route wanted = route();
    wanted.key = others.key;
    const OpResult refused = apply_one(Op::Verb::add, wanted);
    EXPECT_EQ(refused.error, EEXIST);
    EXPECT_EQ(refused.text, to_text(Object(others)).substr(6) + " is in the way");
    EXPECT_EQ(dump().of<Route>().find(wanted.key), nullptr);
    outside(Op::Verb::remove, others,
            "ip route del 10.5.7.0/24 dev eth0 proto " + std::to_string(protocol));
  }
}

// As with the Go flannel.
TEST_P(KernelContract, WhatAnAdministratorMadeToExactlyAPeersSubnetIsReplacedInPlace) {
  add(overlay());
  for (const char* protocol : {"boot", "static"}) {
    Route others;
    others.key.dst = *Prefix::parse("10.5.7.0/24");
    others.dev = "eth0";
    others.protocol = protocol == std::string("boot") ? RTPROT_BOOT : RTPROT_STATIC;
    outside(Op::Verb::add, others,
            std::string("ip route add 10.5.7.0/24 dev eth0 proto ") + protocol);
    Route wanted = route();
    wanted.key = others.key;
    apply({{Op::Verb::add, wanted}});
    ASSERT_NE(dump().of<Route>().find(wanted.key), nullptr);
    EXPECT_EQ(*dump().of<Route>().find(wanted.key), wanted);
    apply({{Op::Verb::remove, wanted}});
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, KernelContract, testing::Values("fake", "real"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace flannel

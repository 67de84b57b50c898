// What the reconciler relies on, checked on the fake kernel and on the real one, in a network
// namespace that ends with this process.

#include <gtest/gtest.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <memory>

#include "kernel/netlink_kernel.h"
#include "test/fake_kernel.h"

namespace flannel {
namespace {

void shell(const std::string& command) {
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
}

// Both kernels offer an underlay device eth0 with 198.18.0.2/24.
class KernelContract : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (GetParam() == std::string("fake")) {
      auto fake = std::make_unique<FakeKernel>();
      fake->host_view.interfaces.push_back(
          {"eth0", 2, 1500, true, {{.prefix = *Prefix::parse("198.18.0.2/24")}}});
      fake->host_view.default_routes.push_back({Family::v4, "eth0", 0});
      kernel_ = std::move(fake);
      return;
    }
    if (::unshare(CLONE_NEWNET) != 0) {
      if (std::getenv("CI") != nullptr) {
        FAIL() << "no network namespace: the tests need root";
      }
      GTEST_SKIP() << "SKIPPED: network namespaces need root";
    }
    shell(
        "ip link set lo up && ip link add eth0 type veth peer name eth1 && "
        "ip addr add 198.18.0.2/24 dev eth0 && ip link set eth0 up && ip link set eth1 up && "
        "ip route add default via 198.18.0.1 && "
        "until ip -br link show eth0 | grep -q ' UP '; do sleep 0.01; done");
    kernel_ = std::make_unique<NetlinkKernel>();
  }

  static Link device(Dev name = "flannel.1", std::uint32_t vni = 1) {
    Link link;
    link.key.name = name;
    link.kind = Vxlan{vni, *IpAddr::parse("198.18.0.2"), "eth0", 8472, false, false};
    link.mac = *Mac::parse("02:00:00:00:00:02");
    link.mtu = 1450;
    link.alias = "flannel 10.5.0.0/16";
    return link;
  }

  static Scope scope() {
    Scope scope;
    scope.links = {"flannel.1"};
    scope.alias = "flannel 10.5.0.0/16";
    scope.networks = {*Prefix::parse("10.5.0.0/16"), *Prefix::parse("fc00:5::/48")};
    scope.first_nexthop = 0x100000;
    return scope;
  }

  // A device with an address and one peer, by way of a nexthop object.
  static NetState overlay() {
    NetState state;
    state.links.put(device());
    state.addresses.put({{"flannel.1", *Prefix::parse("10.5.60.0/32")}});
    state.neighbours.put({{"flannel.1", base()}, peer_mac()});
    state.fdb.put({{"flannel.1", peer_mac()}, *IpAddr::parse("198.18.0.3")});
    state.nexthops.put(nexthop());
    state.routes.put(route());
    return state;
  }

  static IpAddr base() { return *IpAddr::parse("10.5.61.0"); }
  static Mac peer_mac() { return *Mac::parse("02:00:00:00:00:61"); }
  static Nexthop nexthop() { return {{0x100007}, base(), "flannel.1", true}; }
  static Route route() {
    Route route;
    route.key.dst = {base(), 24};
    route.nexthop = 0x100007;
    return route;
  }
  static Route plain_route() {
    Route route;
    route.key.dst = {base(), 24};
    route.via = base();
    route.dev = "flannel.1";
    route.onlink = true;
    return route;
  }

  static std::vector<Op> ops_for(Op::Verb verb, const NetState& state) {
    std::vector<Op> ops;
    for_each_table(
        [&](const auto& table) {
          for (const auto& row : table) {
            ops.push_back({verb, row});
          }
        },
        state);
    return ops;
  }

  void apply(const std::vector<Op>& ops) {
    const std::vector<OpResult> results = kernel_->apply(ops);
    ASSERT_EQ(results.size(), ops.size());
    for (std::size_t i = 0; i < ops.size(); ++i) {
      EXPECT_TRUE(results[i].ok()) << to_text(ops[i]) << ": " << results[i].text;
    }
  }
  void add(const NetState& state) { apply(ops_for(Op::Verb::add, state)); }
  OpResult apply_one(Op::Verb verb, Object object) {
    return kernel_->apply(std::vector<Op>{{verb, std::move(object)}})[0];
  }
  NetState dump() { return kernel_->dump(scope()).ours; }

  // Another program's change.
  void outside(Op::Verb verb, Object object, const std::string& command) {
    if (FakeKernel* fake = dynamic_cast<FakeKernel*>(kernel_.get())) {
      ASSERT_TRUE(fake->outside({verb, std::move(object)}).ok());
    } else {
      shell(command);
    }
  }

  // Notifications until `enough` of them say so.
  Changes changes(const std::function<bool(const Changes&)>& enough) {
    Changes all;
    for (int i = 0; i < 100 && !enough(all); ++i) {
      pollfd readable{kernel_->notify_fd(), POLLIN, 0};
      ::poll(&readable, 1, 100);
      Changes more = kernel_->changes(scope());
      all.dump_needed = all.dump_needed || more.dump_needed;
      all.host_changed = all.host_changed || more.host_changed;
      all.ours.insert(all.ours.end(), more.ours.begin(), more.ours.end());
    }
    return all;
  }
  void drain() {
    pollfd readable{kernel_->notify_fd(), POLLIN, 0};
    while (::poll(&readable, 1, 20) > 0) {
      kernel_->changes(scope());
    }
  }
  static bool same_key(const Object& a, const Object& b) {
    return std::visit(
        [&b](const auto& row) {
          const auto* other = std::get_if<std::decay_t<decltype(row)>>(&b);
          return other != nullptr && other->key == row.key;
        },
        a);
  }
  static bool says(const Changes& changes, bool removed, const Object& object) {
    return std::any_of(changes.ours.begin(), changes.ours.end(), [&](const Change& change) {
      return change.removed == removed && change.object == object;
    });
  }

  std::unique_ptr<Kernel> kernel_;
};

TEST_P(KernelContract, KeepsWhatItIsGiven) {
  EXPECT_EQ(to_text(dump()), "");
  add(overlay());
  EXPECT_EQ(to_text(dump()), to_text(overlay()));
}

TEST_P(KernelContract, KeepsIpv6) {
  NetState state;
  Link link = device();
  state.links.put(link);
  const IpAddr v6 = *IpAddr::parse("fc00:5:0:61::");
  state.addresses.put({{"flannel.1", {*IpAddr::parse("fc00:5:0:60::"), 128}}});
  state.neighbours.put({{"flannel.1", v6}, peer_mac()});
  state.fdb.put({{"flannel.1", peer_mac()}, *IpAddr::parse("198.18.0.3")});
  state.nexthops.put({{0x100008}, v6, "flannel.1", true});
  Route through;
  through.key = {{v6, 64}, 1024};
  through.nexthop = 0x100008;
  state.routes.put(through);
  Route plain;
  plain.key = {{*IpAddr::parse("fc00:5:0:62::"), 64}, 1024};
  plain.via = *IpAddr::parse("fc00:5:0:62::");
  plain.dev = "flannel.1";
  plain.onlink = true;
  state.routes.put(plain);
  add(state);
  EXPECT_EQ(to_text(dump()), to_text(state));
}

TEST_P(KernelContract, KeepsEveryVxlanAttribute) {
  Link link = device();
  link.kind = Vxlan{42, *IpAddr::parse("198.18.0.9"), "eth0", 4789, true, true};
  link.mtu = 1300;
  apply({{Op::Verb::add, link}});
  NetState want;
  want.links.put(link);
  EXPECT_EQ(to_text(dump()), to_text(want));
}

TEST_P(KernelContract, WithALinksMacGoItsNeighbours) {
  add(overlay());
  NetState want = overlay();
  Link link = device();
  link.mac = *Mac::parse("02:00:00:00:00:99");
  apply({{Op::Verb::change, link}});
  want.links.put(link);
  want.neighbours = {};
  EXPECT_EQ(to_text(dump()), to_text(want));
}

TEST_P(KernelContract, ARouteWhoseNexthopIsGoneIsRemovedWithSuccess) {
  add(overlay());
  apply({{Op::Verb::remove, nexthop()}, {Op::Verb::remove, route()}});
  EXPECT_TRUE(dump().routes.empty());
}

TEST_P(KernelContract, ChangesALinkInPlace) {
  add(overlay());
  NetState want = overlay();
  Link link = device();
  link.mtu = 1400;
  std::get<Vxlan>(link.kind).learning = true;
  apply({{Op::Verb::change, link}});
  want.links.put(link);
  EXPECT_EQ(to_text(dump()), to_text(want));
}

TEST_P(KernelContract, ChangesObjectsInPlace) {
  add(overlay());
  NetState want = overlay();
  want.neighbours.put({{"flannel.1", base()}, Mac::local(5)});
  want.fdb.put({{"flannel.1", peer_mac()}, *IpAddr::parse("198.18.0.99")});
  Nexthop moved = nexthop();
  moved.via = *IpAddr::parse("198.18.0.99");
  moved.dev = "eth0";
  moved.onlink = false;
  want.nexthops.put(moved);
  apply({{Op::Verb::change, *want.neighbours.begin()},
         {Op::Verb::change, *want.fdb.begin()},
         {Op::Verb::change, moved}});
  EXPECT_EQ(to_text(dump()), to_text(want));
}

TEST_P(KernelContract, ARouteMayChangeItsForm) {
  add(overlay());
  apply({{Op::Verb::change, plain_route()}});
  NetState want = overlay();
  want.routes.put(plain_route());
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
  without.links = {};
  apply(ops_for(Op::Verb::remove, without));
  apply(ops_for(Op::Verb::remove, without));
}

TEST_P(KernelContract, PuttingAgainWhatIsThereIsSuccess) {
  add(overlay());
  apply({{Op::Verb::add, *overlay().addresses.begin()},
         {Op::Verb::add, *overlay().neighbours.begin()},
         {Op::Verb::add, *overlay().fdb.begin()},
         {Op::Verb::add, *overlay().routes.begin()}});
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
  EXPECT_TRUE(changes([](const Changes& c) { return c.dump_needed; }).dump_needed);
  EXPECT_EQ(to_text(dump()), "");
}

TEST_P(KernelContract, TellsOfALinkThatWentDownWithItsRoutes) {
  add(overlay());
  drain();
  Link down = device();
  down.up = false;
  outside(Op::Verb::change, down, "ip link set flannel.1 down");
  EXPECT_TRUE(changes([](const Changes& c) { return c.dump_needed; }).dump_needed);
  const NetState left = dump();
  EXPECT_FALSE(left.links.begin()->up);
  EXPECT_TRUE(left.routes.empty());
  EXPECT_TRUE(left.nexthops.empty());
}

TEST_P(KernelContract, TellsOfEachRemovedObject) {
  add(overlay());
  drain();
  const std::pair<Object, std::string> objects[] = {
      {*overlay().routes.begin(), "ip route del 10.5.61.0/24"},
      {*overlay().nexthops.begin(), "ip nexthop del id 1048583"},
      {*overlay().fdb.begin(), "bridge fdb del 02:00:00:00:00:61 dev flannel.1 dst 198.18.0.3"},
      {*overlay().neighbours.begin(), "ip neigh del 10.5.61.0 dev flannel.1"},
      {*overlay().addresses.begin(), "ip addr del 10.5.60.0/32 dev flannel.1"},
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
  NetState want;
  want.links.put(orphan);
  EXPECT_EQ(to_text(dump()), to_text(want));
}

TEST_P(KernelContract, ShowsTheHost) {
  const HostView host = kernel_->host();
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
}

INSTANTIATE_TEST_SUITE_P(Kernels, KernelContract, testing::Values("fake", "real"),
                         [](const auto& info) { return std::string(info.param); });

// What only the real kernel has.
class RealKernel : public KernelContract {
 protected:
  NetlinkKernel& kernel() { return dynamic_cast<NetlinkKernel&>(*kernel_); }
};

TEST_P(RealKernel, EntriesThatAreNotPermanentAreNotOurs) {
  add(overlay());
  shell("bridge fdb add 02:00:00:00:00:77 dev flannel.1 dst 198.18.0.7 self dynamic");
  shell("ip neigh add 10.5.77.0 lladdr 02:00:00:00:00:77 dev flannel.1 nud reachable");
  shell("bridge fdb append 00:00:00:00:00:00 dev flannel.1 dst 198.18.0.8");
  EXPECT_EQ(to_text(dump()), to_text(overlay()));
}

TEST_P(RealKernel, TakesOverWhatTheReferenceLeft) {
  apply({{Op::Verb::add, device()}, {Op::Verb::add, *overlay().addresses.begin()}});
  shell("ip route add 10.5.61.0/24 via 10.5.61.0 dev flannel.1 onlink");
  Route boot = plain_route();
  boot.protocol = RTPROT_BOOT;
  ASSERT_EQ(to_text(Object(*dump().routes.begin())), to_text(Object(boot)));
  apply({{Op::Verb::add, nexthop()}, {Op::Verb::change, route()}});
  EXPECT_EQ(to_text(Object(*dump().routes.begin())), to_text(Object(route())));
  EXPECT_EQ(dump().routes.size(), 1U);
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
  EXPECT_FALSE(echo.dump_needed);
  EXPECT_FALSE(echo.host_changed);
}

TEST_P(RealKernel, TellsWhenTheHostChanges) {
  drain();
  shell("ip addr add 198.18.0.77/24 dev eth0");
  const Changes told = changes([](const Changes& c) { return c.host_changed; });
  EXPECT_TRUE(told.host_changed);
  EXPECT_FALSE(told.dump_needed);
}

TEST_P(RealKernel, AnOverrunOfNotificationsAsksForADump) {
  add(overlay());
  drain();
  const int small = 2048;
  ASSERT_EQ(::setsockopt(kernel().notify_fd(), SOL_SOCKET, SO_RCVBUFFORCE, &small, sizeof small),
            0);
  std::vector<Op> ops;
  for (std::uint32_t i = 0; i < 500; ++i) {
    ops.push_back(
        {Op::Verb::add,
         Neighbour{{"flannel.1", IpAddr::from_number(Family::v4, 0x0a056000 + i)}, Mac::local(i)}});
  }
  apply(ops);
  EXPECT_TRUE(changes([](const Changes& c) { return c.dump_needed; }).dump_needed);
}

INSTANTIATE_TEST_SUITE_P(Kernels, RealKernel, testing::Values("real"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace flannel

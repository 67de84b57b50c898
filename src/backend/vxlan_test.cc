#include "backend/vxlan.h"

#include <gtest/gtest.h>

#include "backend/backend_fixture.h"

namespace flannel {
namespace {

std::string refusal(const std::string& backend) {
  const Result<std::unique_ptr<Backend>> made = make_backend(test_network(backend));
  return made ? "accepted" : made.error().text;
}

TEST(VxlanOptions, WrongValuesAreRefusedByName) {
  const std::string prefix = "error decoding VXLAN backend config: ";
  EXPECT_EQ(refusal(R"({"Type":"vxlan"})"), "accepted");
  EXPECT_EQ(refusal(R"({"Type":"vxlan","VNI":16777216})"), prefix + "VNI 16777216: over 16777215");
  EXPECT_EQ(refusal(R"({"Type":"vxlan","Port":70000})"), prefix + "Port 70000: over 65535");
  for (const char* wrong : {R"("VNI":"1")", R"("VNI":-1)", R"("VNI":1.5)", R"("Port":true)",
                            R"("GBP":1)", R"("Learning":"yes")", R"("MTU":"1400")"}) {
    const std::string text = refusal(fmt::format(R"({{"Type":"vxlan",{}}})", wrong));
    EXPECT_TRUE(text.starts_with(prefix)) << wrong << ": " << text;
    EXPECT_NE(text.find(std::string(wrong).substr(1, 3)), std::string::npos) << text;
  }
}

TEST(VxlanOptions, EachIsReadAndOthersAreNamed) {
  for (const std::string_view option : kVxlanOptions) {
    const std::string backend = fmt::format(R"({{"Type":"vxlan","{}":[]}})", option);
    EXPECT_TRUE(refusal(backend).contains(fmt::format("{} []: ", option))) << refusal(backend);
    EXPECT_TRUE(warnings(test_network(backend)).empty());
  }
  EXPECT_EQ(warnings(test_network(R"({"type":"vxlan","Directrouting":true,"VIN":7})")),
            std::vector<std::string>{
                "network configuration: Backend.VIN is not known; did you mean Backend.VNI?"});
  EXPECT_EQ(warnings(test_network(R"({"Type":"host-gw","VNI":7})")),
            std::vector<std::string>{"network configuration: Backend.VNI is not known"});
  EXPECT_EQ(warnings(*parse_network_config(R"({"Network":"10.5.0.0/16","SubnetLne":24})")),
            (std::vector<std::string>{
                "network configuration: there is no Backend: udp is used",
                "network configuration: SubnetLne is not known; did you mean SubnetLen?"}));
}

TEST(VxlanOptions, AnUnknownTypeIsRefusedByName) {
  EXPECT_EQ(refusal(R"({"Type":"nope"})"),
            "unknown backend type: nope (known: alloc, host-gw, vxlan)");
  EXPECT_EQ(refusal(R"({})"), "unknown backend type: none is given (known: alloc, host-gw, vxlan)");
  const NetworkConfig none = *parse_network_config(R"({"Network":"10.5.0.0/16"})");
  EXPECT_EQ(
      make_backend(none).error().text,
      "backend type udp is not supported yet; it is what a missing Backend stands for: write, "
      R"(for example, "Backend": {"Type": "vxlan"} (known: alloc, host-gw, vxlan))");
}

std::uint32_t mtu(const TestNode& node) {
  return node.backend->mtu(node.network, node.external).value_or(0);
}

TEST(Vxlan, MtuIsTheInterfacesLessTheEncapsulation) {
  EXPECT_EQ(mtu(TestNode(test_network(R"({"Type":"vxlan"})"))), 1450U);
  EXPECT_EQ(mtu(TestNode(test_network(R"({"Type":"vxlan","MTU":1300})"))), 1250U);
  EXPECT_EQ(mtu(TestNode(test_network(R"({"Type":"vxlan","MTU":100})"))), 0U);
  EXPECT_EQ(mtu(TestNode(v6_network(R"({"Type":"vxlan"})"))), 1430U);
  EXPECT_EQ(mtu(TestNode(dual_network(R"({"Type":"vxlan"})"))), 1430U);
  // IPv6 needs links of 1280 bytes.
  EXPECT_EQ(mtu(TestNode(dual_network(R"({"Type":"vxlan","MTU":1350})"))), 1280U);
  EXPECT_EQ(mtu(TestNode(dual_network(R"({"Type":"vxlan","MTU":1349})"))), 0U);
}

// The kernel would refuse the device more than its lower device lets through.
TEST(Vxlan, AnMtuOverTheInterfacesIsCappedWithAWarning) {
  const TestNode node(dual_network(R"({"Type":"vxlan","MTU":9000})"));
  EXPECT_EQ(mtu(node), 1430U);
  for (const Link& link : node.plan().state.of<Link>()) {
    EXPECT_EQ(link.mtu, link.key.name == Dev("flannel.1") ? 1450U : 1430U);
  }
  EXPECT_EQ(node.backend->warnings(node.external),
            std::vector<std::string>{
                "Backend.MTU 9000 is over the 1500 of eth0, which are used instead"});
  const TestNode fits(dual_network(R"({"Type":"vxlan","MTU":1500})"));
  EXPECT_TRUE(fits.backend->warnings(fits.external).empty());
}

TEST(Vxlan, AnnouncesWhatTheReferenceReads) {
  const LeaseAttrs attrs = TestNode(test_network(R"({"Type":"vxlan","VNI":7})")).own.attrs;
  EXPECT_EQ(attrs.backend_type, "vxlan");
  EXPECT_EQ(attrs.public_ip->to_text(), "198.18.0.2");
  EXPECT_EQ(attrs.public_ipv6, std::nullopt);
  EXPECT_TRUE(attrs.backend_data.starts_with(R"({"VNI":7,"VtepMAC":")")) << attrs.backend_data;
  EXPECT_EQ(attrs.backend_v6_data, "");
}

TEST(Vxlan, AnnouncesEachFamilyThatIsEnabled) {
  const LeaseAttrs dual = TestNode(dual_network(R"({"Type":"vxlan"})")).own.attrs;
  EXPECT_EQ(dual.public_ip->to_text(), "198.18.0.2");
  EXPECT_EQ(dual.public_ipv6->to_text(), "fd99::2");
  EXPECT_NE(dual.backend_data, "");
  EXPECT_NE(dual.backend_v6_data, "");
  EXPECT_NE(dual.backend_data, dual.backend_v6_data) << "two devices, two MACs";
  const LeaseAttrs v6 = TestNode(v6_network(R"({"Type":"vxlan"})")).own.attrs;
  EXPECT_EQ(v6.public_ip, std::nullopt);
  EXPECT_EQ(v6.backend_data, "");
  EXPECT_EQ(v6.backend_v6_data, dual.backend_v6_data);
}

// The device the node would have, but with a MAC of its own.
NetState device_with_mac(const TestNode& node, const Mac& mac) {
  NetState state = node.plan().state;
  Link link = *state.of<Link>().begin();
  link.mac = mac;
  state.of<Link>().put(link);
  return state;
}

TEST(Vxlan, ADeviceThatCanStayKeepsItsMac) {
  const TestNode node(test_network(R"({"Type":"vxlan"})"));
  const NetState have = device_with_mac(node, *Mac::parse("96:64:b0:ae:0e:c8"));
  EXPECT_EQ(node.announce(have).backend_data, R"({"VNI":1,"VtepMAC":"96:64:b0:ae:0e:c8"})");
}

TEST(Vxlan, ADeviceThatMustBeMadeAnewGetsTheMacItWouldHaveOtherwise) {
  const NetState have =
      device_with_mac(TestNode(test_network(R"({"Type":"vxlan"})")), Mac::local(99));
  const TestNode node(test_network(R"({"Type":"vxlan","Port":4789})"));
  EXPECT_EQ(node.announce(have), node.announce());
}

TEST(Vxlan, ANewDeviceGetsTheMacThatWasPublished) {
  const TestNode node(dual_network(R"({"Type":"vxlan"})"));
  const LeaseAttrs published{.backend_data = R"({"VNI":1,"VtepMAC":"02:00:5e:10:00:01"})",
                             .backend_v6_data = R"({"VNI":1,"VtepMAC":"junk"})"};
  const LeaseAttrs attrs = node.announce({}, &published);
  EXPECT_EQ(attrs.backend_data, published.backend_data);
  EXPECT_EQ(attrs.backend_v6_data, node.announce().backend_v6_data) << "that is none";
  const NetState have = device_with_mac(node, *Mac::parse("96:64:b0:ae:0e:c8"));
  EXPECT_EQ(node.announce(have, &published), node.announce(have)) << "this one can stay";
}

TEST(Vxlan, TheMacDependsOnNodeNetworkAndVni) {
  TestNode node(test_network(R"({"Type":"vxlan"})"));
  const LeaseAttrs first = node.announce();
  EXPECT_EQ(first, node.announce());
  node.external.public_v4 = *IpAddr::parse("198.18.0.3");
  EXPECT_NE(first.backend_data, node.announce().backend_data);
  EXPECT_NE(first.backend_data,
            TestNode(test_network(R"({"Type":"vxlan","VNI":2})")).announce().backend_data);
}

const Lease kPeer = test_peer(
    "10.5.61.0-24",
    R"({"PublicIP":"198.18.0.3","BackendType":"vxlan","BackendData":{"VtepMAC":"02:00:00:00:00:61"}})");

TEST(Vxlan, FallsBackToPlainRoutesWhereTheKernelHasNoNexthops) {
  TestNode node(test_network(R"({"Type":"vxlan"})"));
  node.nexthops.enabled = false;
  const NetState state = node.plan({&kPeer, 1}).state;
  EXPECT_TRUE(state.of<Nexthop>().empty());
  ASSERT_EQ(state.of<Route>().size(), 1U);
  EXPECT_EQ(to_text(Object(*state.of<Route>().begin())),
            "route 10.5.61.0/24 via 10.5.61.0 dev flannel.1 onlink proto 70");
}

TEST(Vxlan, LeavesNexthopIdsOfOthersAlone) {
  TestNode node(test_network(R"({"Type":"vxlan"})"));
  const std::uint32_t first = node.plan({&kPeer, 1}).state.of<Nexthop>().begin()->key.id;
  EXPECT_GE(first, node.scope.first_nexthop);
  EXPECT_LT(first - node.scope.first_nexthop, kNexthopIds);
  node.nexthops.taken = {first};
  const NetState without_it = node.plan({&kPeer, 1}).state;
  EXPECT_TRUE(without_it.of<Nexthop>().empty());
  EXPECT_EQ(to_text(Object(*without_it.of<Route>().begin())),
            "route 10.5.61.0/24 via 10.5.61.0 dev flannel.1 onlink proto 70");
}

// Among as many as these some have the same hash; whoever of them comes last, none that is there
// loses its id to it.
TEST(Vxlan, ANewcomerNeverTakesTheNexthopIdOfAnother) {
  const TestNode node(test_network(R"({"Type":"vxlan"})"));
  std::vector<Lease> peers;
  for (std::uint32_t i = 0; i < 5000; ++i) {
    Lease peer = kPeer;
    peer.key.v4 = Prefix{IpAddr::from_number(Family::v4, 0x0a100000 + (i << 8)), 24};
    peer.attrs.backend_data = fmt::format(R"({{"VNI":1,"VtepMAC":"{}"}})", Mac::local(i).to_text());
    peers.push_back(std::move(peer));
  }
  const NetState all = node.plan(peers).state;
  ASSERT_EQ(all.of<Route>().size(), peers.size());
  std::vector<std::size_t> colliding;
  for (std::size_t i = 0; i < peers.size(); ++i) {
    const Route& route = *all.of<Route>().find({*peers[i].key.v4, 0});
    if (route.nexthop == 0) {
      EXPECT_EQ(route.via, peers[i].key.v4->ip);
      colliding.push_back(i);
    } else {
      EXPECT_EQ(all.of<Nexthop>().find({route.nexthop})->via, peers[i].key.v4->ip);
    }
  }
  ASSERT_GE(colliding.size(), 2U);
  for (const std::size_t newcomer : colliding) {
    std::vector<Lease> before = peers;
    before.erase(before.begin() + static_cast<std::ptrdiff_t>(newcomer));
    for (const Nexthop& nexthop : node.plan(before).state.of<Nexthop>()) {
      const Nexthop* now = all.of<Nexthop>().find(nexthop.key);
      EXPECT_TRUE(now == nullptr || *now == nexthop) << to_text(Object(nexthop));
    }
  }
}

// The peer moves from behind a router to our own link: only its nexthop changes, in place.
TEST(Vxlan, DirectRoutingLeavesTheTunnelToPeersBehindARouter) {
  TestNode node(test_network(R"({"Type":"vxlan","DirectRouting":true})"));
  const IpAddr remote = *IpAddr::parse("198.18.0.3");
  node.paths[remote] = {"eth0", *IpAddr::parse("198.18.0.1"), {}};
  const NetState tunnel = node.plan({&kPeer, 1}).state;
  EXPECT_EQ(tunnel.of<Neighbour>().size(), 1U);
  EXPECT_EQ(tunnel.of<FdbEntry>().size(), 1U);
  node.paths[remote] = {"eth0", std::nullopt, {}};
  const NetState direct = node.plan({&kPeer, 1}).state;
  EXPECT_TRUE(direct.of<Neighbour>().empty());
  EXPECT_TRUE(direct.of<FdbEntry>().empty());
  EXPECT_EQ(direct.of<Route>(), tunnel.of<Route>());
  EXPECT_EQ(direct.of<Nexthop>().begin()->key, tunnel.of<Nexthop>().begin()->key);
  EXPECT_EQ(direct.of<Nexthop>().begin()->via, remote);
  EXPECT_EQ(direct.of<Nexthop>().begin()->dev, Dev("eth0"));
}

TEST(Vxlan, DirectRoutingLeavesTheTunnelToPeersOverAVpn) {
  TestNode node(test_network(R"({"Type":"vxlan","DirectRouting":true})"));
  Path vpn{"tun0", std::nullopt, {}};
  vpn.shared_link = false;
  node.paths[*IpAddr::parse("198.18.0.3")] = vpn;
  EXPECT_EQ(node.plan({&kPeer, 1}).state.of<FdbEntry>().size(), 1U);
}

TEST(Vxlan, TellsTheMacThatOnlyOneNodeCanHave) {
  const TestNode node(test_network(R"({"Type":"vxlan"})"));
  EXPECT_EQ(node.backend->vtep_mac(kPeer, Family::v4), Mac::parse("02:00:00:00:00:61").value());
  EXPECT_EQ(node.backend->vtep_mac(kPeer, Family::v6), std::nullopt);
  Lease other = kPeer;
  other.attrs.backend_type = "wireguard";
  EXPECT_EQ(node.backend->vtep_mac(other, Family::v4), std::nullopt);
}

TEST(Vxlan, BackendDataIsQuotedInPart) {
  const TestNode node(test_network(R"({"Type":"vxlan"})"));
  Lease peer = kPeer;
  peer.attrs.backend_data = R"({"VNI":")" + std::string(100'000, 'x') + "\"}";
  const std::vector<Refused> skipped = node.plan({&peer, 1}).skipped;
  ASSERT_EQ(skipped.size(), 1U);
  EXPECT_LT(skipped[0].reason.size(), 300U);
}

TEST(Vxlan, DirectRoutingIsNotByWayOfTheTunnelItself) {
  TestNode node(test_network(R"({"Type":"vxlan","DirectRouting":true})"));
  node.paths[*IpAddr::parse("198.18.0.3")] = {"flannel.1", std::nullopt, {}};
  EXPECT_EQ(node.plan({&kPeer, 1}).state.of<FdbEntry>().size(), 1U);
}

TEST(Scope, DiffersBetweenNetworksOfOneNode) {
  const NetworkConfig one = test_network(R"({"Type":"vxlan"})");
  const NetworkConfig two =
      *parse_network_config(R"({"Network":"10.6.0.0/16","Backend":{"Type":"vxlan","VNI":2}})");
  const Scope a = make_scope(one, **make_backend(one));
  const Scope b = make_scope(two, **make_backend(two));
  EXPECT_EQ(a.alias, "flannel 10.5.0.0/16");
  EXPECT_NE(a.alias, b.alias);
  EXPECT_NE(a.first_nexthop, b.first_nexthop);
  EXPECT_GE(a.first_nexthop, kNexthopIds);
}

}  // namespace
}  // namespace flannel

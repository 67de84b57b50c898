// The same promises for every backend and family: packets of the full size, no packet lost on a
// restart, and whatever is done to a node heals.

#include "base/mac.h"
#include "store/lease_file.h"
#include "test/overlay/overlay_fixture.h"

namespace flannel {
namespace {

struct Mode {
  const char* name;
  Arguments options;
  std::vector<Family> families;
  unsigned mtu;

  // What a failed test is called by.
  friend void PrintTo(const Mode& mode, std::ostream* out) { *out << mode.name; }
};

constexpr const char* kDirect = R"({"Type":"vxlan","DirectRouting":true})";

const Mode kModes[] = {
    {"VxlanV4", {}, {Family::v4}, 1450},
    {"VxlanV6", {"--ipv6"}, {Family::v6}, 1430},
    {"VxlanDual", {"--dual-stack"}, {Family::v4, Family::v6}, 1430},
    {"VxlanDualRouted", {"--dual-stack", "--routed"}, {Family::v4, Family::v6}, 1430},
    {"VxlanDirect", {"--dual-stack", "--backend", kDirect}, {Family::v4, Family::v6}, 1430},
    {"HostGwDual", {"--dual-stack", "--backend", "host-gw"}, {Family::v4, Family::v6}, 1500},
    {"HostGwV6", {"--ipv6", "--backend", "host-gw"}, {Family::v6}, 1500},
};

class Overlay : public OverlayFixture, public testing::WithParamInterface<Mode> {
 protected:
  void SetUp() override {
    ROOT_OR_SKIP();
    make_lab(GetParam().options);
  }
  bool all_ping(const Arguments& options = {}) const {
    const std::vector<Family>& families = GetParam().families;
    return std::all_of(families.begin(), families.end(),
                       [&](Family family) { return ping(options, family); });
  }
};

TEST_P(Overlay, PacketsOfTheFullMtuPassAndLargerOnesDoNot) {
  for (const Family family : GetParam().families) {
    const unsigned headers = family == Family::v4 ? 28 : 48;  // IP and ICMP
    const auto size = [&](unsigned mtu) { return fmt::format("{}", mtu - headers); };
    EXPECT_TRUE(ping({"-M", "do", "-s", size(GetParam().mtu)}, family));
    EXPECT_FALSE(ping({"-M", "do", "-s", size(GetParam().mtu + 1)}, family));
    EXPECT_TRUE(ping({"-s", "4000"}, family)) << "in fragments";
  }
}

TEST_P(Overlay, ARestartLosesNoPacketAndWritesNothing) {
  for (const bool kill : {false, true}) {
    std::vector<std::unique_ptr<Stream>> streams;
    for (const Family family : GetParam().families) {
      streams.push_back(stream(family));
    }
    ASSERT_TRUE(lab.does(kill ? Arguments{"stop", "n1", "--kill"} : Arguments{"stop", "n1"}));
    ASSERT_TRUE(lab.does({"start", "n1"}));
    EXPECT_TRUE(eventually([&] { return lab.page(1, "/readyz") == "flanneld is ready\n"; }));
    for (const std::unique_ptr<Stream>& packets : streams) {
      const auto [sent, lost] = packets->stop();
      EXPECT_GT(sent, 0U);
      EXPECT_EQ(lost, 0U) << (kill ? "SIGKILL" : "SIGTERM");
    }
    EXPECT_EQ(status(1).at_pointer("/kernel/changes").as_int64(), 0);
  }
}

TEST_P(Overlay, WhateverIsDoneToANodeHeals) {
  const ProgramResult result = lab.ctl({"break"});
  EXPECT_EQ(result.status, 0) << result.output;
  EXPECT_NE(result.output.find("healed in"), std::string::npos) << result.output;
}

TEST_P(Overlay, AnAddressTooManyGoesAgain) {
  const std::string device =
      GetParam().families.front() == Family::v4 ? "flannel.1" : "flannel-v6.1";
  if (lab.ip("n1", {"link", "show", device}).status != 0) {
    return;  // host-gw has no device
  }
  const std::string surplus =
      GetParam().families.front() == Family::v4 ? "10.5.0.77/32" : "fc00:5:0:ffff::77/128";
  ASSERT_EQ(lab.ip("n1", {"addr", "add", surplus, "dev", device}).status, 0);
  EXPECT_TRUE(eventually([&] { return is_as_planned(1); }));
  EXPECT_TRUE(all_ping());
}

INSTANTIATE_TEST_SUITE_P(Modes, Overlay, testing::ValuesIn(kModes),
                         [](const auto& info) { return std::string(info.param.name); });

// A peer moves between the tunnel and a direct route, and back, under traffic; with nexthop objects
// and without.
class DirectRouting : public testing::TestWithParam<const char*> {};

TEST_P(DirectRouting, APeerMovesBetweenTunnelAndDirectRouteWithoutALostPacket) {
  ROOT_OR_SKIP();
  ::setenv("FLANNELD_ROUTE_NEXTHOPS", GetParam(), 1);
  struct Nodes : OverlayFixture {
    void TestBody() override {
      make_lab({"--dual-stack", "--routed", "--backend", kDirect});
      // A second wire between the nodes, which they may use once they have routes to it.
      lab.ip("n1", {"link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns",
                    lab.name() + "-n2"});
      const std::pair<const char*, const char*> wires[] = {{"n1", "02:00:00:00:00:a1"},
                                                           {"n2", "02:00:00:00:00:a2"}};
      for (const auto& [node, mac] : wires) {
        lab.ip(node, {"link", "set", "wire", "address", mac, "up"});
      }
      // Over IPv6 nobody answers for an address of another interface.
      lab.ip("n1", {"neigh", "add", "fd99:0:0:2::12", "lladdr", wires[1].second, "dev", "wire"});
      lab.ip("n2", {"neigh", "add", "fd99:0:0:1::11", "lladdr", wires[0].second, "dev", "wire"});
      EXPECT_EQ(routes_by("wire"), 0U);
      const std::unique_ptr<Stream> v4 = stream(Family::v4), v6 = stream(Family::v6);
      for (int round = 0; round < 5; ++round) {
        routes("replace");
        EXPECT_TRUE(eventually([&] { return routes_by("wire") == 4; })) << lab.page(1, "/status");
        EXPECT_EQ(lab.ip("n1", {"neigh", "show", "dev", "flannel.1", "nud", "permanent"}).output,
                  "");
        routes("del");
        EXPECT_TRUE(eventually([&] { return routes_by("wire") == 0; }));
      }
      for (const auto& packets : {v4.get(), v6.get()}) {
        expect_no_loss(*packets);
      }
      // As a VPN's device, whose other end would have to be told of pods' subnets.
      routes("replace");
      EXPECT_TRUE(eventually([&] { return routes_by("wire") == 4; }));
      for (const char* node : {"n1", "n2"}) {
        lab.ip(node, {"link", "set", "wire", "arp", "off"});
      }
      EXPECT_TRUE(eventually([&] { return routes_by("wire") == 0; })) << lab.page(1, "/status");
    }
    // To the other's underlay address, over the wire.
    void routes(const std::string& verb) {
      lab.ip("n1", {"route", verb, "198.18.2.12/32", "dev", "wire", "src", "198.18.1.11"});
      lab.ip("n2", {"route", verb, "198.18.1.11/32", "dev", "wire", "src", "198.18.2.12"});
      lab.ip("n1", {"route", verb, "fd99:0:0:2::12/128", "dev", "wire", "src", "fd99:0:0:1::11"});
      lab.ip("n2", {"route", verb, "fd99:0:0:1::11/128", "dev", "wire", "src", "fd99:0:0:2::12"});
    }
    std::size_t routes_by(const std::string& device) const {
      std::size_t count = 0;
      for (const char* node : {"n1", "n2"}) {
        for (const char* family : {"-4", "-6"}) {
          const std::string list =
              lab.ip(node, {family, "route", "show", "dev", device, "proto", "70"}).output;
          count += static_cast<std::size_t>(std::count(list.begin(), list.end(), '\n'));
        }
      }
      return count;
    }
  } nodes;
  nodes.TestBody();
  ::unsetenv("FLANNELD_ROUTE_NEXTHOPS");
}

INSTANTIATE_TEST_SUITE_P(Nexthops, DirectRouting, testing::Values("auto", "on"),
                         [](const auto& info) { return std::string(info.param); });

// With the thousandth peer routes lead through nexthop objects, and where most have left no more.
TEST(ManyPeers, RoutesOfAnotherKindTakeTheirPlaceWithoutALostPacket) {
  ROOT_OR_SKIP();
  struct Nodes : OverlayFixture {
    void TestBody() override {
      make_lab({"--dual-stack"});
      const std::vector<Lease> others = made_up_leases(1'000);
      const std::unique_ptr<Stream> v4 = stream(Family::v4), v6 = stream(Family::v6);
      ASSERT_TRUE(put_local_leases(store(), others));
      EXPECT_TRUE(eventually([&] { return has_peers(1'001) && nexthops() == 1'002; }));
      LeaseFile file(store(), LeaseFile::IfMissing::refuse, std::chrono::system_clock::now);
      for (const Lease& lease : std::span(others).first(502)) {
        file.remove(lease.key);
      }
      EXPECT_TRUE(eventually([&] { return has_peers(499) && nexthops() == 0; }))
          << status(1).at_pointer("/kernel");
      for (const auto& packets : {v4.get(), v6.get()}) {
        expect_no_loss(*packets);
      }
      EXPECT_TRUE(is_as_planned(1));
    }
    // Of 16 addresses each, where our own nodes are not.
    std::vector<Lease> made_up_leases(unsigned count) const {
      std::vector<Lease> leases;
      for (std::uint32_t at = 0x0a050100; leases.size() < count; at += 16) {
        Lease lease;
        lease.key.v4 = Prefix{IpAddr::from_number(Family::v4, at), 28};
        lease.attrs.public_ip = IpAddr::from_number(Family::v4, 0xc6130000 + (at & 0xffff));
        lease.attrs.backend_type = "vxlan";
        lease.attrs.backend_data =
            fmt::format(R"({{"VNI":1,"VtepMAC":"{}"}})", Mac::local(at).to_text());
        if (!lease.key.v4->overlaps(subnet(1)) && !lease.key.v4->overlaps(subnet(2))) {
          leases.push_back(lease);
        }
      }
      return leases;
    }
    bool has_peers(std::int64_t count) const {
      return status(1).at_pointer("/peers/count").as_int64() == count;
    }
    std::ptrdiff_t nexthops() const {
      const std::string list = lab.ip("n1", {"nexthop"}).output;
      return std::count(list.begin(), list.end(), '\n');
    }
  } nodes;
  nodes.TestBody();
}

// What an overlay must leave alone on its host, and what it does beside it.
struct HostNodes : OverlayFixture {
  std::string routes_to(const Prefix& subnet) const {
    return lab.ip("n1", {"route", "show", "exact", subnet.to_text()}).output;
  }
  std::string refused() const {
    return boost::json::serialize(status(1).at_pointer("/peers/refused"));
  }
};

TEST(HostAddresses, ALinkOfTheHostKeepsItsRouteAndThePeerIsRefusedByName) {
  ROOT_OR_SKIP();
  struct Nodes : HostNodes {
    void TestBody() override {
      make_lab({});
      ASSERT_TRUE(ping());
      const Prefix theirs = subnet(2);
      const Prefix address{IpAddr::from_number(Family::v4, theirs.ip.number() + 200), 24};
      lab.ip("n1", {"link", "add", "lan0", "type", "veth", "peer", "name", "lan1"});
      lab.ip("n1", {"link", "set", "lan1", "up"});
      for (int round = 0; round < 2; ++round) {
        lab.ip("n1", {"addr", "add", address.to_text(), "dev", "lan0"});
        lab.ip("n1", {"link", "set", "lan0", "up"});
        EXPECT_TRUE(eventually([&] {
          const std::string routes = routes_to(theirs);
          return routes.find("proto kernel") != std::string::npos &&
                 routes.find("proto 70") == std::string::npos;
        })) << routes_to(theirs);
        EXPECT_NE(refused().find("the network of lan0"), std::string::npos) << refused();
        lab.ip("n1", {"addr", "del", address.to_text(), "dev", "lan0"});
        EXPECT_TRUE(eventually([&] { return is_as_planned(1) && ping(); })) << refused();
        EXPECT_EQ(refused(), "[]");
      }
    }
  } nodes;
  nodes.TestBody();
}

TEST(HostAddresses, ASecondDefaultRouteMovesNobody) {
  ROOT_OR_SKIP();
  struct Nodes : HostNodes {
    void TestBody() override {
      make_lab({});
      const auto interface = [&] {
        const boost::json::value page = status(1);
        return page.is_object() ? boost::json::serialize(page.at("interface")) : "";
      };
      lab.ip("n1", {"link", "add", "vpn0", "type", "veth", "peer", "name", "vpn1"});
      lab.ip("n1", {"addr", "add", "198.18.77.2/24", "dev", "vpn0"});
      lab.ip("n1", {"link", "set", "vpn1", "up"});
      lab.ip("n1", {"link", "set", "vpn0", "up"});
      const ProgramResult added =
          lab.ip("n1", {"route", "prepend", "default", "via", "198.18.77.1", "dev", "vpn0"});
      EXPECT_EQ(added.status, 0) << added.output;
      // The interface is chosen anew with what comes last, if not before.
      lab.ip("n1", {"link", "set", "eth0", "mtu", "1400"});
      EXPECT_TRUE(eventually([&] { return interface().find("\"mtu\":1400") != std::string::npos; }))
          << interface();
      EXPECT_NE(interface().find("\"name\":\"eth0\""), std::string::npos) << interface();
      EXPECT_TRUE(eventually([&] { return is_as_planned(1) && ping(); }));
    }
  } nodes;
  nodes.TestBody();
}

TEST(HostAddresses, AnMtuOverTheInterfacesIsCappedAndTheDeviceHeals) {
  ROOT_OR_SKIP();
  struct Nodes : HostNodes {
    void TestBody() override {
      make_lab({"--backend", R"({"Type":"vxlan","MTU":9000})"});
      EXPECT_EQ(status(1).at_pointer("/interface/pod_mtu").as_int64(), 1450);
      EXPECT_EQ(status(1).at("state"), "ready");
      EXPECT_NE(boost::json::serialize(status(1).at("warnings")).find("Backend.MTU 9000"),
                std::string::npos);
      lab.ip("n1", {"link", "set", "flannel.1", "down"});
      EXPECT_TRUE(eventually([&] { return is_as_planned(1) && ping(); }));
    }
  } nodes;
  nodes.TestBody();
}

}  // namespace
}  // namespace flannel

#include "backend/host_gw.h"

#include <gtest/gtest.h>

#include "backend/backend_fixture.h"

namespace flannel {
namespace {

class HostGw : public testing::Test {
 protected:
  HostGw() {
    node.nexthops.enabled = false;
    node.paths[*IpAddr::parse("198.18.0.3")] = {"eth0", std::nullopt, {}};
    node.paths[*IpAddr::parse("fd99::3")] = {"eth0", std::nullopt, {}};
  }
  std::string mtu() const {
    const Result<std::uint32_t> mtu = node.backend->mtu(node.network, node.external);
    return mtu ? fmt::format("{}", *mtu) : mtu.error().text;
  }
  std::string skipped() const {
    const std::vector<Refused> all = node.plan({&peer, 1}).skipped;
    return all.empty() ? "" : all.front().reason;
  }

  TestNode node{dual_network(R"({"Type":"host-gw"})")};
  Lease peer =
      test_peer("10.5.61.0-24&fc00:5:0:61::-64",
                R"({"PublicIP":"198.18.0.3","PublicIPv6":"fd99::3","BackendType":"host-gw"})");
};

TEST_F(HostGw, RoutesASubnetToItsNode) {
  EXPECT_EQ(node.plan_text({&peer, 1}),
            "route 10.5.61.0/24 via 198.18.0.3 dev eth0 proto 70\n"
            "route fc00:5:0:61::/64 via fd99::3 dev eth0 metric 1024 proto 70\n");
}

TEST_F(HostGw, PublishesItsAddressesAndNoData) {
  EXPECT_EQ(to_json(node.own.attrs),
            R"({"PublicIP":"198.18.0.2","PublicIPv6":"fd99::2","BackendType":"host-gw"})");
  EXPECT_EQ(mtu(), "1500");
}

TEST_F(HostGw, APublishedAddressThatIsNotTheInterfacesIsRefused) {
  node.external.public_v4 = *IpAddr::parse("203.0.113.9");
  EXPECT_EQ(mtu(),
            "your PublicIP 203.0.113.9 differs from interface IP 198.18.0.2, meaning that probably "
            "you're on a NAT, which is not supported by host-gw backend");
}

TEST_F(HostGw, APeerBehindARouterIsSkippedByName) {
  node.paths[*IpAddr::parse("198.18.0.3")].via = *IpAddr::parse("198.18.0.1");
  EXPECT_EQ(node.plan({&peer, 1}).state.of<Route>().size(), 1U) << "the other family goes on";
  EXPECT_EQ(skipped(), "198.18.0.3 is not on a link of ours, it is reached by way of 198.18.0.1");
  node.paths.clear();
  EXPECT_EQ(skipped(), "there is no way to 198.18.0.3");
}

// WireGuard with AllowedIPs for the subnets, or a GRE link to the very node, carries them.
TEST_F(HostGw, APeerOverAPointToPointLinkIsRouted) {
  node.paths[*IpAddr::parse("198.18.0.3")].shared_link = false;
  EXPECT_EQ(node.plan({&peer, 1}).state.of<Route>().size(), 2U);
  EXPECT_EQ(skipped(), "");
}

TEST_F(HostGw, APeerOfAnotherBackendIsSkippedByName) {
  peer.attrs.backend_type = "vxlan";
  EXPECT_EQ(skipped(), "its backend type is \"vxlan\", ours is host-gw");
}

}  // namespace
}  // namespace flannel

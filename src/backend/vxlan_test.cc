#include "backend/vxlan.h"

#include <gtest/gtest.h>

#include "backend/scope.h"

namespace flannel {
namespace {

NetworkConfig config(const std::string& backend) {
  const Result<NetworkConfig> network =
      parse_network_config(R"({"Network":"10.5.0.0/16","Backend":)" + backend + "}");
  EXPECT_TRUE(network) << network.error().text;
  return *network;
}

ExternalInterface eth0() {
  ExternalInterface external;
  external.name = "eth0";
  external.mtu = 1500;
  external.v4 = external.public_v4 = *IpAddr::parse("198.18.0.2");
  return external;
}

std::string refusal(const std::string& backend) {
  const Result<std::unique_ptr<Backend>> made = make_backend(config(backend));
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

TEST(VxlanOptions, WhatIsNotBuiltIsRefusedByName) {
  EXPECT_EQ(refusal(R"({"Type":"vxlan","DirectRouting":true})"),
            "DirectRouting true: not supported yet");
  const NetworkConfig dual = *parse_network_config(
      R"({"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fc00:5::/48","Backend":{"Type":"vxlan"}})");
  EXPECT_EQ(make_backend(dual).error().text, "EnableIPv6 true: not supported yet");
}

TEST(VxlanOptions, AnUnknownTypeIsRefusedByName) {
  EXPECT_EQ(refusal(R"({"Type":"nope"})"), "unknown backend type: nope");
  EXPECT_EQ(refusal(R"({})"), "unknown backend type: ");
}

TEST(Vxlan, MtuIsTheInterfacesLessTheEncapsulation) {
  NetworkConfig network = config(R"({"Type":"vxlan"})");
  EXPECT_EQ(*(*make_backend(network))->mtu(network, eth0()), 1450U);
  network = config(R"({"Type":"vxlan","MTU":1300})");
  EXPECT_EQ(*(*make_backend(network))->mtu(network, eth0()), 1250U);
  network = config(R"({"Type":"vxlan","MTU":100})");
  EXPECT_FALSE((*make_backend(network))->mtu(network, eth0()));
}

TEST(Vxlan, AnnouncesWhatTheReferenceReads) {
  const NetworkConfig network = config(R"({"Type":"vxlan","VNI":7})");
  const LeaseAttrs attrs = (*make_backend(network))->announce(network, eth0(), {});
  EXPECT_EQ(attrs.backend_type, "vxlan");
  EXPECT_EQ(attrs.public_ip->to_text(), "198.18.0.2");
  EXPECT_TRUE(attrs.backend_data.starts_with(R"({"VNI":7,"VtepMAC":")")) << attrs.backend_data;
  EXPECT_EQ(attrs.backend_v6_data, "");
}

// A device as make_backend(network) would have it, but with a MAC of its own.
NetState device_with_mac(const NetworkConfig& network, const Mac& mac) {
  const std::unique_ptr<Backend> backend = *make_backend(network);
  Node node{network, eth0(), {}, make_scope(network, *backend), {}};
  node.own = {*parse_lease_key("10.5.60.0-24"), backend->announce(network, eth0(), {})};
  NetState state = backend->plan(node, {}).state;
  Link link = *state.links.begin();
  link.mac = mac;
  state.links.put(link);
  return state;
}

TEST(Vxlan, ADeviceThatCanStayKeepsItsMac) {
  const NetworkConfig network = config(R"({"Type":"vxlan"})");
  const Mac mac = *Mac::parse("96:64:b0:ae:0e:c8");
  const NetState have = device_with_mac(network, mac);
  const LeaseAttrs attrs = (*make_backend(network))->announce(network, eth0(), have);
  EXPECT_EQ(attrs.backend_data, R"({"VNI":1,"VtepMAC":"96:64:b0:ae:0e:c8"})");
}

TEST(Vxlan, ADeviceThatMustBeMadeAnewGetsTheMacItWouldHaveOtherwise) {
  const NetState have = device_with_mac(config(R"({"Type":"vxlan"})"), Mac::local(99));
  const NetworkConfig network = config(R"({"Type":"vxlan","Port":4789})");
  const std::unique_ptr<Backend> backend = *make_backend(network);
  EXPECT_EQ(backend->announce(network, eth0(), have), backend->announce(network, eth0(), {}));
}

TEST(Vxlan, TheMacDependsOnNodeNetworkAndVni) {
  const NetworkConfig network = config(R"({"Type":"vxlan"})");
  const std::unique_ptr<Backend> backend = *make_backend(network);
  const LeaseAttrs first = backend->announce(network, eth0(), {});
  EXPECT_EQ(first, backend->announce(network, eth0(), {}));
  ExternalInterface other = eth0();
  other.public_v4 = *IpAddr::parse("198.18.0.3");
  EXPECT_NE(first.backend_data, backend->announce(network, other, {}).backend_data);
}

TEST(Vxlan, FallsBackToPlainRoutesWhereTheKernelHasNoNexthops) {
  const NetworkConfig network = config(R"({"Type":"vxlan"})");
  const std::unique_ptr<Backend> backend = *make_backend(network);
  Node node{network, eth0(), {}, make_scope(network, *backend), {}};
  node.own = {*parse_lease_key("10.5.60.0-24"), backend->announce(network, eth0(), {})};
  node.nexthops.enabled = false;
  const Lease peer{
      *parse_lease_key("10.5.61.0-24"),
      *parse_lease_attrs(
          R"({"PublicIP":"198.18.0.3","BackendType":"vxlan","BackendData":{"VtepMAC":"02:00:00:00:00:61"}})")};
  const NetState state = backend->plan(node, std::span(&peer, 1)).state;
  EXPECT_TRUE(state.nexthops.empty());
  ASSERT_EQ(state.routes.size(), 1U);
  EXPECT_EQ(to_text(Object(*state.routes.begin())),
            "route 10.5.61.0/24 via 10.5.61.0 dev flannel.1 onlink proto 70");
}

TEST(Vxlan, LeavesNexthopIdsOfOthersAlone) {
  const NetworkConfig network = config(R"({"Type":"vxlan"})");
  const std::unique_ptr<Backend> backend = *make_backend(network);
  Node node{network, eth0(), {}, make_scope(network, *backend), {}};
  node.own = {*parse_lease_key("10.5.60.0-24"), backend->announce(network, eth0(), {})};
  const Lease peer{
      *parse_lease_key("10.5.61.0-24"),
      *parse_lease_attrs(
          R"({"PublicIP":"198.18.0.3","BackendType":"vxlan","BackendData":{"VtepMAC":"02:00:00:00:00:61"}})")};
  const std::uint32_t first =
      backend->plan(node, std::span(&peer, 1)).state.nexthops.begin()->key.id;
  EXPECT_GE(first, node.scope.first_nexthop);
  EXPECT_LT(first - node.scope.first_nexthop, kNexthopIds);
  node.nexthops.taken = {first};
  EXPECT_NE(backend->plan(node, std::span(&peer, 1)).state.nexthops.begin()->key.id, first);
}

TEST(Scope, DiffersBetweenNetworksOfOneNode) {
  const NetworkConfig one = config(R"({"Type":"vxlan"})");
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

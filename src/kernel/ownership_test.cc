// One test a row of docs/ownership.md.

#include "kernel/ownership.h"

#include <gtest/gtest.h>
#include <linux/rtnetlink.h>

namespace flannel {
namespace {

Scope scope() {
  Scope scope;
  scope.links = {"flannel.1", "flannel-v6.1"};
  scope.alias = "flannel 10.5.0.0/16";
  scope.networks = {*Prefix::parse("10.5.0.0/16"), *Prefix::parse("fc00:5::/48")};
  scope.first_nexthop = 0x500000;
  return scope;
}

Link link(Dev name, const std::string& alias) {
  Link out;
  out.key.name = name;
  out.alias = alias;
  return out;
}

TEST(Ownership, LinkByNameOrAlias) {
  EXPECT_TRUE(owns_link(scope(), link("flannel.1", "")));
  EXPECT_TRUE(owns_link(scope(), link("flannel.7", "flannel 10.5.0.0/16")));
  EXPECT_FALSE(owns_link(scope(), link("flannel.7", "")));
  EXPECT_FALSE(owns_link(scope(), link("flannel.7", "flannel 10.6.0.0/16")));
  EXPECT_TRUE(owns_link(scope(), link("flannel.1", "uplink of the overlay")));
  EXPECT_TRUE(owns_link(scope(), link("flannel.1", "flannel 10.6.0.0/16")));
  Scope no_alias = scope();
  no_alias.alias.clear();
  EXPECT_FALSE(owns_link(no_alias, link("eth0", "")));
}

TEST(Ownership, ADeviceOfAnotherKindIsNotOursWhateverItsName) {
  Link bridge = link("flannel.1", "");
  bridge.kind = OtherKind{"bridge"};
  EXPECT_FALSE(owns_link(scope(), bridge));
  EXPECT_TRUE(
      explain_foreign(bridge).starts_with("flannel.1 is a device of another kind (bridge)"));
  bridge.alias = scope().alias;
  EXPECT_TRUE(owns_link(scope(), bridge)) << "it says so itself";
  EXPECT_EQ(explain_foreign(link("flannel.1", "")), "");
}

TEST(Ownership, AddressOnOurLinkInsideOurNetworks) {
  const auto address = [](const char* text) {
    return Address{{"flannel.1", *Prefix::parse(text)}};
  };
  EXPECT_TRUE(owns_address(scope(), true, address("10.5.60.0/32")));
  EXPECT_TRUE(owns_address(scope(), true, address("10.5.60.1/16")));
  EXPECT_FALSE(owns_address(scope(), true, address("192.0.2.7/32"))) << "an administrator's";
  EXPECT_TRUE(owns_address(scope(), true, address("fc00:5::/128")));
  EXPECT_FALSE(owns_address(scope(), true, address("fe80::1/64")));
  EXPECT_FALSE(owns_address(scope(), false, address("10.5.60.0/32")));
}

TEST(Ownership, PermanentNeighbourOnOurLinkInsideOurNetworks) {
  const Neighbour unicast{{"flannel.1", *IpAddr::parse("10.5.61.0")}, Mac::local(1)};
  const Neighbour multicast{{"flannel.1", *IpAddr::parse("224.0.0.22")}, Mac::local(1)};
  EXPECT_TRUE(owns_neighbour(scope(), true, true, unicast));
  EXPECT_FALSE(owns_neighbour(scope(), true, false, unicast));
  EXPECT_FALSE(owns_neighbour(scope(), false, true, unicast));
  EXPECT_FALSE(owns_neighbour(scope(), true, true, multicast));
  const Neighbour others{{"flannel.1", *IpAddr::parse("172.16.0.1")}, Mac::local(1)};
  EXPECT_FALSE(owns_neighbour(scope(), true, true, others)) << "an administrator's";
}

TEST(Ownership, PermanentFdbEntryOnOurLinkButTheDefault) {
  const FdbEntry entry{{"flannel.1", Mac::local(1)}, *IpAddr::parse("198.18.0.3")};
  EXPECT_TRUE(owns_fdb_entry(true, true, entry));
  EXPECT_FALSE(owns_fdb_entry(true, false, entry));
  EXPECT_FALSE(owns_fdb_entry(false, true, entry));
  EXPECT_FALSE(owns_fdb_entry(true, true, {{"flannel.1", Mac{}}, entry.remote}));
}

TEST(Ownership, NexthopByProtocolAndRange) {
  const auto nexthop = [](std::uint32_t id) { return Nexthop{{id}, {}, {}, false}; };
  EXPECT_TRUE(owns_nexthop(scope(), 70, nexthop(0x500000)));
  EXPECT_TRUE(owns_nexthop(scope(), 70, nexthop(0x4fffff + kNexthopIds)));
  EXPECT_FALSE(owns_nexthop(scope(), 70, nexthop(0x500000 + kNexthopIds)));
  EXPECT_FALSE(owns_nexthop(scope(), 70, nexthop(0x4fffff)));
  EXPECT_FALSE(owns_nexthop(scope(), RTPROT_STATIC, nexthop(0x500000)));
}

TEST(Ownership, RouteByProtocolInOurNetworksOrOnOurLink) {
  const auto route = [](const char* dst, std::uint8_t protocol) {
    Route out;
    out.key.dst = *Prefix::parse(dst);
    out.protocol = protocol;
    return out;
  };
  EXPECT_TRUE(owns_route(scope(), false, route("10.5.61.0/24", 70)));
  EXPECT_TRUE(owns_route(scope(), false, route("fc00:5:0:61::/64", 70)));
  EXPECT_FALSE(owns_route(scope(), false, route("10.6.61.0/24", 70))) << "another network's";
  EXPECT_FALSE(owns_route(scope(), false, route("10.5.61.0/24", RTPROT_STATIC)));
  EXPECT_TRUE(owns_route(scope(), true, route("10.5.61.0/24", RTPROT_BOOT))) << "the reference's";
  EXPECT_FALSE(owns_route(scope(), true, route("fe80::/64", RTPROT_KERNEL)));
  EXPECT_FALSE(owns_route(scope(), true, route("172.16.0.0/16", RTPROT_STATIC)))
      << "others' networks";
  EXPECT_FALSE(owns_route(scope(), true, route("10.5.61.0/24", RTPROT_BIRD)));
  EXPECT_TRUE(owns_route(scope(), true, route("10.9.61.0/24", 70))) << "of a network of before";
}

TEST(Ownership, BlackholeByProtocolOrOfThisNodesSubnet) {
  Scope ours = scope();
  ours.subnets = {*Prefix::parse("10.5.60.0/24")};
  const auto owns = [&](const char* dst, std::uint8_t protocol) {
    Route out;
    out.key.dst = *Prefix::parse(dst);
    out.protocol = protocol;
    out.type = RTN_BLACKHOLE;
    return owns_route(ours, false, out);
  };
  EXPECT_TRUE(owns("10.5.60.0/24", 70));
  EXPECT_TRUE(owns("10.5.9.0/24", 70)) << "a subnet of before";
  EXPECT_FALSE(owns("10.6.60.0/24", 70)) << "another network's";
  EXPECT_TRUE(owns("10.5.60.0/24", RTPROT_BOOT)) << "the reference's";
  EXPECT_FALSE(owns("10.5.60.0/24", RTPROT_STATIC));
  EXPECT_FALSE(owns("10.5.61.0/24", RTPROT_BOOT)) << "an administrator's";
  EXPECT_FALSE(owns("10.5.60.0/25", RTPROT_BOOT)) << "an administrator's";
}

TEST(Ownership, OnlyWhatAnAdministratorMadeGivesWay) {
  for (const int protocol : {70, RTPROT_BOOT, RTPROT_STATIC}) {
    EXPECT_TRUE(gives_way(static_cast<std::uint8_t>(protocol))) << protocol;
  }
  for (const int protocol : {RTPROT_UNSPEC, RTPROT_REDIRECT, RTPROT_KERNEL, RTPROT_RA, RTPROT_DHCP,
                             RTPROT_BIRD, RTPROT_ZEBRA, RTPROT_BGP, 80}) {
    EXPECT_FALSE(gives_way(static_cast<std::uint8_t>(protocol))) << protocol;
  }
}

}  // namespace
}  // namespace flannel

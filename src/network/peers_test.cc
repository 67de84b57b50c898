#include "network/peers.h"

#include <gtest/gtest.h>

#include "network/peers_fixture.h"

namespace flannel {
namespace {

TEST(Peers, TellWhomAListLacks) {
  Peers peers = peers_with();
  peers.apply(
      {.leases = {lease("10.5.60.0-24", "198.18.0.2"), lease("10.5.61.0-24", "198.18.0.3"),
                  lease("10.5.62.0-24", "198.18.0.4"), lease("10.9.0.0-24", "198.18.0.5")}});
  const std::vector<Lease> list{lease("10.5.62.0-24", "198.18.0.9")};
  std::string missing;
  for (const Lease& peer : peers.missing_from(list)) {
    missing += to_text(peer.key) + " ";
  }
  EXPECT_EQ(missing, "10.5.61.0-24 10.9.0.0-24 ") << "not our own, and not one that has changed";
}

TEST(Peers, FollowASnapshotAndEvents) {
  Peers peers = peers_with();
  EXPECT_TRUE(peers
                  .apply({.snapshot = true,
                          .leases = {lease("10.5.62.0-24", "198.18.0.4"),
                                     lease("10.5.61.0-24", "198.18.0.3")}})
                  .any);
  EXPECT_EQ(usable(peers), "10.5.61.0-24 10.5.62.0-24");
  EXPECT_TRUE(peers.apply({.leases = {lease("10.5.63.0-24", "198.18.0.5")}}).any);
  EXPECT_TRUE(peers.apply({.removed = {*parse_lease_key("10.5.61.0-24")}}).any);
  EXPECT_EQ(usable(peers), "10.5.62.0-24 10.5.63.0-24");
  EXPECT_TRUE(peers.apply({.snapshot = true, .leases = {lease("10.5.63.0-24", "198.18.0.5")}}).any);
  EXPECT_EQ(usable(peers), "10.5.63.0-24");
}

TEST(Peers, SayWhetherAnythingChanged) {
  Peers peers = peers_with();
  Lease peer = lease("10.5.61.0-24", "198.18.0.3");
  EXPECT_TRUE(peers.apply({.snapshot = true, .leases = {peer}}).any);
  peer.expiry = BootClock::now();  // a renewal
  EXPECT_FALSE(peers.apply({.leases = {peer}}).any);
  EXPECT_FALSE(peers.apply({.snapshot = true, .leases = {peer}}).any);
  EXPECT_FALSE(peers.apply({.removed = {*parse_lease_key("10.5.99.0-24")}}).any);
  peer.attrs.public_ip = *IpAddr::parse("198.18.0.33");
  EXPECT_TRUE(peers.apply({.snapshot = true, .leases = {peer}}).any);
}

TEST(Peers, TheOwnLeaseIsNoPeer) {
  Peers peers = peers_with();
  peers.apply({.snapshot = true, .leases = {lease("10.5.60.0-24", "198.18.0.2")}});
  EXPECT_EQ(usable(peers), "");
  EXPECT_EQ(refused(peers), "");
}

TEST(Peers, RefuseByNameAndKeepTheRest) {
  Peers peers = peers_with();
  peers.apply({.snapshot = true,
               .leases = {lease("10.5.61.0-24", "198.18.0.3"), lease("10.9.0.0-24", "198.18.0.4"),
                          lease("10.5.60.128-25", "198.18.0.5"), lease("10.4.0.0-14", "198.18.0.6"),
                          lease("10.5.70.0-24", "198.18.0.2"), lease("10.5.71.0-24", "")},
               .bad = {{"junk", "not a subnet"}}});
  EXPECT_EQ(usable(peers), "10.5.61.0-24");
  EXPECT_EQ(refused(peers),
            "10.4.0.0-14: subnet 10.4.0.0/14 lies outside Network 10.5.0.0/16\n"
            "10.5.60.128-25: subnet 10.5.60.128/25 overlaps our own, 10.5.60.0/24\n"
            "10.5.70.0-24: public address 198.18.0.2 is our own\n"
            "10.5.71.0-24: no public IPv4 address\n"
            "10.9.0.0-24: subnet 10.9.0.0/24 lies outside Network 10.5.0.0/16\n"
            "junk: not a subnet\n");
}

TEST(Peers, OfTwoThatOverlapTheOneInUseStays) {
  Peers peers = peers_with();
  peers.apply({.snapshot = true, .leases = {lease("10.5.64.128-25", "198.18.0.3")}});
  peers.apply({.leases = {lease("10.5.64.0-24", "198.18.0.4")}});
  EXPECT_EQ(usable(peers), "10.5.64.128-25");
  EXPECT_EQ(refused(peers),
            "10.5.64.0-24: subnet 10.5.64.0/24 overlaps 10.5.64.128/25, which another node has\n");
  peers.apply({.removed = {*parse_lease_key("10.5.64.128-25")}});
  EXPECT_EQ(usable(peers), "10.5.64.0-24");
  EXPECT_EQ(refused(peers), "");
}

TEST(Peers, ABadEntryIsForgottenWhenItIsPutRight) {
  Peers peers = peers_with();
  peers.apply({.snapshot = true, .bad = {{"10.5.61.0-24", "not a JSON object"}}});
  EXPECT_EQ(refused(peers), "10.5.61.0-24: not a JSON object\n");
  EXPECT_TRUE(peers.apply({.leases = {lease("10.5.61.0-24", "198.18.0.3")}}).any);
  EXPECT_EQ(refused(peers), "");
  EXPECT_EQ(usable(peers), "10.5.61.0-24");
  // A good lease whose entry turns bad stays in use: nothing is removed on doubt.
  EXPECT_TRUE(peers.apply({.bad = {{"10.5.61.0-24", "not a JSON object"}}}).any);
  EXPECT_EQ(usable(peers), "10.5.61.0-24");
  EXPECT_TRUE(peers.apply({.removed = {*parse_lease_key("10.5.61.0-24")}}).any);
  EXPECT_EQ(refused(peers), "");
  EXPECT_EQ(usable(peers), "");
}

TEST(Peers, InDualStackAPeerMayLackOneFamily) {
  Peers peers = peers_with(dual_network());
  peers.apply({.snapshot = true,
               .leases = {lease("10.5.61.0-24", "198.18.0.3"),
                          lease("10.5.62.0-24&fc00:5:0:62::-64", "198.18.0.4"),
                          lease("10.5.63.0-24&fc00:9::-64", "198.18.0.5", "fd99::5")}});
  EXPECT_EQ(usable(peers), "10.5.61.0-24 10.5.62.0-24 10.5.63.0-24");
}

TEST(Peers, AV6OnlyNetworkLooksAtV6) {
  const NetworkConfig network = *parse_network_config(
      R"({"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fc00:5::/48"})");
  Peers peers(network, lease("0.0.0.0-0&fc00:5:0:60::-64", "", "fd99::2"));
  peers.apply({.snapshot = true,
               .leases = {lease("0.0.0.0-0&fc00:5:0:61::-64", "", "fd99::3"),
                          lease("0.0.0.0-0&fc00:5:0:62::-64", "", "fd99::2"),
                          lease("10.5.1.0-24", "198.18.0.9")}});
  EXPECT_EQ(usable(peers), "0.0.0.0-0&fc00:5:0:61::-64");
  EXPECT_EQ(refused(peers),
            "0.0.0.0-0&fc00:5:0:62::-64: public address fd99::2 is our own\n"
            "10.5.1.0-24: no subnet of an enabled family\n");
}

// 10.5.7.1/24 on eth1, the underlay 198.18.0.2/24 on eth0, as in v4_network() and its own lease.
HostUse host_with(std::vector<HostUse::Address> more = {}) {
  HostUse host;
  host.addresses = {{"lo", *Prefix::parse("127.0.0.1/8")},
                    {"eth0", *Prefix::parse("198.18.0.2/24")}};
  host.addresses.insert(host.addresses.end(), more.begin(), more.end());
  host.gateways = {*IpAddr::parse("198.18.0.1")};
  return host;
}

TEST(Peers, RefuseASubnetThatTheHostIsIn) {
  Peers peers = peers_with();
  peers.apply({.snapshot = true,
               .leases = {lease("10.5.7.0-24", "198.18.0.3"), lease("10.5.8.0-24", "198.18.0.4"),
                          lease("10.5.6.0-23", "198.18.0.5"), lease("10.5.9.0-24", "198.18.0.6")}});
  EXPECT_EQ(usable(peers), "10.5.7.0-24 10.5.8.0-24 10.5.9.0-24");
  HostUse host = host_with({{"eth1", *Prefix::parse("10.5.7.1/24")}});
  host.gateways.push_back(*IpAddr::parse("10.5.9.1"));
  EXPECT_TRUE(peers.set_host(host));
  EXPECT_FALSE(peers.set_host(host));
  EXPECT_EQ(usable(peers), "10.5.8.0-24");
  EXPECT_EQ(refused(peers),
            "10.5.6.0-23: subnet 10.5.6.0/23 overlaps 10.5.7.0/24, the network of eth1\n"
            "10.5.7.0-24: subnet 10.5.7.0/24 overlaps 10.5.7.0/24, the network of eth1\n"
            "10.5.9.0-24: subnet 10.5.9.0/24 holds 10.5.9.1, the default gateway\n");
  EXPECT_TRUE(peers.set_host(host_with()));
  EXPECT_EQ(usable(peers), "10.5.7.0-24 10.5.8.0-24 10.5.9.0-24") << "as soon as it is gone";
}

TEST(Peers, RefuseNoSubnetForOurOwnBridgeOrALoopbackOrALinkAroundTheNetwork) {
  Peers peers = peers_with();
  peers.apply({.snapshot = true, .leases = {lease("10.5.61.0-24", "198.18.0.3")}});
  peers.set_host(host_with({{"cni0", *Prefix::parse("10.5.60.1/24")},
                            {"veth0", *Prefix::parse("10.5.60.1/32")},
                            {"lo", *Prefix::parse("10.5.61.5/32")},
                            {"eth1", *Prefix::parse("10.0.0.2/8")}}));
  EXPECT_EQ(usable(peers), "10.5.61.0-24");
  // One address of a link around the network, or of none, is one all the same.
  peers.set_host(host_with({{"eth1", *Prefix::parse("10.5.61.2/8")}}));
  EXPECT_EQ(refused(peers),
            "10.5.61.0-24: subnet 10.5.61.0/24 holds 10.5.61.2, an address of eth1\n");
}

TEST(Peers, RefuseAddressesThatNoNodeCanHave) {
  std::string all;
  for (const char* ip : {"127.0.0.1", "224.0.0.1", "255.255.255.255", "0.0.0.1", "240.0.0.1",
                         "10.5.61.1", "10.5.60.7", "10.5.99.1", "198.18.0.255", "198.18.1.9"}) {
    Peers peers = peers_with();
    peers.set_host(host_with({{"eth1", *Prefix::parse("198.18.1.9/24")}}));
    peers.apply({.snapshot = true, .leases = {lease("10.5.61.0-24", ip)}});
    EXPECT_EQ(usable(peers), "") << ip;
    all += refused(peers).substr(std::string("10.5.61.0-24: public address ").size());
  }
  EXPECT_EQ(all,
            "127.0.0.1 is none that a node can have\n"
            "224.0.0.1 is none that a node can have\n"
            "255.255.255.255 is none that a node can have\n"
            "0.0.0.1 is none that a node can have\n"
            "240.0.0.1 is reserved (RFC 1112), and our own is not of its kind\n"
            "10.5.61.1 lies in its own subnet\n"
            "10.5.60.7 lies in our own subnet\n"
            "10.5.99.1 lies in Network 10.5.0.0/16, where subnets are, and our own does not\n"
            "198.18.0.255 is the broadcast address of eth0\n"
            "198.18.1.9 is an address of our own, on eth1\n");
  for (const char* ip : {"169.254.1.2", "203.0.113.9", "192.168.1.255"}) {
    Peers peers = peers_with();
    peers.apply({.snapshot = true, .leases = {lease("10.5.61.0-24", ip)}});
    EXPECT_EQ(usable(peers), "10.5.61.0-24") << ip;
  }
  for (const char* ip : {"::1", "ff02::1", "fe80::7"}) {
    Peers peers = peers_with(dual_network());
    peers.apply(
        {.snapshot = true, .leases = {lease("10.5.61.0-24&fc00:5:0:61::-64", "198.18.0.3", ip)}});
    EXPECT_EQ(usable(peers), "10.5.61.0-24") << ip << ": the other family goes on";
  }
}

// What is sent there stays here, also where it is a floating address on its way to another node.
TEST(Peers, RefuseAnAddressThatIsOurOwnOnLoAsLongAsItIs) {
  Peers peers = peers_with();
  peers.apply({.snapshot = true, .leases = {lease("10.5.61.0-24", "198.18.0.200")}});
  EXPECT_EQ(usable(peers), "10.5.61.0-24");
  EXPECT_TRUE(peers.set_host(host_with({{"lo", *Prefix::parse("198.18.0.200/32")}})));
  EXPECT_EQ(refused(peers),
            "10.5.61.0-24: public address 198.18.0.200 is an address of our own, on lo\n");
  EXPECT_TRUE(peers.set_host(host_with({})));
  EXPECT_EQ(usable(peers), "10.5.61.0-24");
}

// The reference's documentation has such a network: all nodes are in it.
TEST(Peers, MayHaveTheirAddressesInNetworkWhereOursIsToo) {
  const NetworkConfig network = *parse_network_config(R"({"Network":"10.0.0.0/8"})");
  Peers peers(network, lease("10.5.60.0-24", "10.0.0.2"));
  HostUse host;
  host.addresses = {{"eth0", *Prefix::parse("10.0.0.2/24")}};
  host.gateways = {*IpAddr::parse("10.0.0.1")};
  peers.set_host(host);
  peers.apply({.snapshot = true,
               .leases = {lease("10.5.61.0-24", "10.0.0.3"), lease("10.5.62.0-24", "10.9.0.3"),
                          lease("10.0.0.0-24", "10.0.0.4"), lease("10.0.0.0-31", "10.0.0.5"),
                          lease("10.9.0.0-24", "10.0.0.6"), lease("10.9.1.0-24", "10.5.61.7")}});
  EXPECT_EQ(usable(peers), "10.5.61.0-24 10.5.62.0-24");
  EXPECT_EQ(refused(peers),
            "10.0.0.0-24: subnet 10.0.0.0/24 overlaps 10.0.0.0/24, the network of eth0\n"
            "10.0.0.0-31: subnet 10.0.0.0/31 overlaps 10.0.0.0/24, the network of eth0\n"
            "10.9.0.0-24: subnet 10.9.0.0/24 holds 10.9.0.3, the public address of another node\n"
            "10.9.1.0-24: public address 10.5.61.7 lies in 10.5.61.0/24, the subnet of another "
            "node\n");
}

// As after a restart: one short lease comes before all in the order of addresses.
TEST(Peers, AmongNewcomersOneShortLeaseEvictsNobody) {
  Peers peers = peers_with();
  peers.apply(
      {.snapshot = true,
       .leases = {lease("10.5.0.0-17", "198.18.0.9"), lease("10.5.1.0-24", "198.18.0.3"),
                  lease("10.5.2.0-24", "198.18.0.4"), lease("10.5.2.0-26", "198.18.0.5"),
                  lease("10.5.192.0-18", "198.18.0.6"), lease("10.5.192.0-20", "198.18.0.7")}});
  EXPECT_EQ(usable(peers), "10.5.1.0-24 10.5.2.0-24 10.5.192.0-20");
}

Mac mac_of_address(const Lease& lease) {
  return Mac::local(lease.attrs.public_ip ? lease.attrs.public_ip->bytes()[3] % 10 : 0);
}

// The MACs are made of the last digit of the public address here.
TEST(Peers, OfTwoWithOneMacTheOneInUseStays) {
  const auto made = [] {
    return Peers(v4_network(), lease("10.5.60.0-24", "198.18.0.2"),
                 [](const Lease& lease, Family) { return mac_of_address(lease); });
  };
  Peers peers = made();
  peers.apply({.snapshot = true, .leases = {lease("10.5.62.0-24", "198.18.0.5")}});
  peers.apply({.leases = {lease("10.5.61.0-24", "198.18.0.15"), lease("10.5.63.0-24", "198.18.0.6"),
                          lease("10.5.64.0-24", "198.18.0.12")}});
  EXPECT_EQ(usable(peers), "10.5.62.0-24 10.5.63.0-24");
  EXPECT_EQ(refused(peers),
            "10.5.61.0-24: VtepMAC 02:00:00:00:00:05 is that of 10.5.62.0/24, which another node "
            "has\n"
            "10.5.64.0-24: VtepMAC 02:00:00:00:00:02 is our own\n");
  // One in use that takes another's MAC is a newcomer with it.
  peers.apply({.leases = {lease("10.5.62.0-24", "198.18.0.16")}});
  EXPECT_EQ(usable(peers), "10.5.61.0-24 10.5.63.0-24");
  // After a restart: always the same.
  Peers restarted = made();
  restarted.apply(
      {.snapshot = true,
       .leases = {lease("10.5.62.0-24", "198.18.0.5"), lease("10.5.61.0-24", "198.18.0.15")}});
  EXPECT_EQ(usable(restarted), "10.5.61.0-24");
  // Two leases of one node are no contradiction.
  restarted.apply(
      {.snapshot = true,
       .leases = {lease("10.5.62.0-24", "198.18.0.5"), lease("10.5.61.0-24", "198.18.0.5")}});
  EXPECT_EQ(usable(restarted), "10.5.61.0-24 10.5.62.0-24");
}

TEST(Peers, AfterTheOwnLeaseMovedAllAreJudgedAgain) {
  Peers peers = peers_with();
  peers.apply({.snapshot = true, .leases = {lease("10.5.61.0-24", "198.18.0.3")}});
  peers.set_own(lease("10.5.61.0-24", "198.18.0.2"));
  EXPECT_EQ(usable(peers), "");
}

// Whoever may write leases can do so for ever.
TEST(Peers, OfBadEntriesAThousandAreNamedAndTheOthersCounted) {
  Peers peers = peers_with();
  peers.apply({.leases = {lease("10.5.61.0-24", "198.18.0.3")}});
  for (int i = 0; i < 5'000; ++i) {
    peers.apply({.bad = {{fmt::format("junk{}", i), "not a subnet"}}});
  }
  EXPECT_EQ(peers.refused().size(), kMostBadEntries + 1);
  EXPECT_EQ(peers.refused_count(), 5'000U);
  EXPECT_TRUE(refused(peers).contains("…: 4000 more entries cannot be read\n"));
  for (int i = 0; i < 5'000; ++i) {
    peers.apply({.bad_removed = {fmt::format("junk{}", i)}});
  }
  EXPECT_EQ(refused(peers), "");
  EXPECT_EQ(peers.refused_count(), 0U);
  EXPECT_EQ(usable(peers), "10.5.61.0-24");
}

// Written again and again, in another way each time, and at last as a lease or not at all.
TEST(Peers, ABadEntryCountsOnce) {
  Peers peers = peers_with();
  LeaseUpdate all{.snapshot = true};
  for (int i = 0; i < 2'000; ++i) {
    add_bad(all, fmt::format("junk{}", i), "not a subnet");
  }
  add_bad(all, "10.5.61.0-24", "no lease");
  add_bad(all, "10.5.62.0-24", "no lease");
  peers.apply(all);
  EXPECT_TRUE(refused(peers).contains("…: 1002 more entries cannot be read\n"));
  for (int i = 0; i < 100; ++i) {
    for (const int number : {1, 1'500}) {  // one with a name and one without
      peers.apply({.bad = {{fmt::format("junk{}", number), fmt::format("reason {}", i)}}});
    }
  }
  EXPECT_TRUE(refused(peers).contains("junk1: reason 99\n"));
  EXPECT_TRUE(refused(peers).contains("…: 1002 more entries cannot be read\n"));
  peers.apply({.leases = {lease("10.5.61.0-24", "198.18.0.3")}});
  peers.apply({.removed = {lease("10.5.62.0-24", "198.18.0.4").key}});
  peers.apply({.bad_removed = {"junk1500", "junk1500", "junk that is not there"}});
  EXPECT_TRUE(refused(peers).contains("…: 999 more entries cannot be read\n"));
}

TEST(Peers, BadEntriesBeyondALimitAreNotCounted) {
  Peers peers = peers_with();
  LeaseUpdate all{.snapshot = true};
  for (std::size_t i = 0; i < kMostBadEntries + kMostUnnamedBad + 10; ++i) {
    add_bad(all, fmt::format("junk{}", i), "not a subnet");
  }
  peers.apply(all);
  EXPECT_TRUE(refused(peers).contains("…: over 50000 more entries cannot be read\n"));
}

}  // namespace
}  // namespace flannel

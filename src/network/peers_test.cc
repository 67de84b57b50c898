#include "network/peers.h"

#include <gtest/gtest.h>

namespace flannel {
namespace {

Lease lease(const std::string& key, const std::string& ip, const std::string& ipv6 = "") {
  Lease out;
  out.key = *parse_lease_key(key);
  if (!ip.empty()) {
    out.attrs.public_ip = *IpAddr::parse(ip);
  }
  if (!ipv6.empty()) {
    out.attrs.public_ipv6 = *IpAddr::parse(ipv6);
  }
  out.attrs.backend_type = "vxlan";
  return out;
}

NetworkConfig v4_network() {
  return *parse_network_config(R"({"Network":"10.5.0.0/16"})");
}

NetworkConfig dual_network() {
  return *parse_network_config(
      R"({"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fc00:5::/48"})");
}

Peers peers_with(const NetworkConfig& network = v4_network()) {
  return Peers(network, lease(network.v6 ? "10.5.60.0-24&fc00:5:0:60::-64" : "10.5.60.0-24",
                              "198.18.0.2", network.v6 ? "fd99::2" : ""));
}

std::string usable(const Peers& peers) {
  std::string out;
  for (const Lease& peer : peers.usable()) {
    out += (out.empty() ? "" : " ") + to_text(peer.key);
  }
  return out;
}

std::string refused(const Peers& peers) {
  std::string out;
  for (const Refused& peer : peers.refused()) {
    out += peer.name + ": " + peer.reason + "\n";
  }
  return out;
}

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
  EXPECT_TRUE(peers.apply(
      {.snapshot = true,
       .leases = {lease("10.5.62.0-24", "198.18.0.4"), lease("10.5.61.0-24", "198.18.0.3")}}));
  EXPECT_EQ(usable(peers), "10.5.61.0-24 10.5.62.0-24");
  EXPECT_TRUE(peers.apply({.leases = {lease("10.5.63.0-24", "198.18.0.5")}}));
  EXPECT_TRUE(peers.apply({.removed = {*parse_lease_key("10.5.61.0-24")}}));
  EXPECT_EQ(usable(peers), "10.5.62.0-24 10.5.63.0-24");
  EXPECT_TRUE(peers.apply({.snapshot = true, .leases = {lease("10.5.63.0-24", "198.18.0.5")}}));
  EXPECT_EQ(usable(peers), "10.5.63.0-24");
}

TEST(Peers, SayWhetherAnythingChanged) {
  Peers peers = peers_with();
  Lease peer = lease("10.5.61.0-24", "198.18.0.3");
  EXPECT_TRUE(peers.apply({.snapshot = true, .leases = {peer}}));
  peer.expiry = BootClock::now();  // a renewal
  EXPECT_FALSE(peers.apply({.leases = {peer}}));
  EXPECT_FALSE(peers.apply({.snapshot = true, .leases = {peer}}));
  EXPECT_FALSE(peers.apply({.removed = {*parse_lease_key("10.5.99.0-24")}}));
  peer.attrs.public_ip = *IpAddr::parse("198.18.0.33");
  EXPECT_TRUE(peers.apply({.snapshot = true, .leases = {peer}}));
}

TEST(Peers, TheOwnLeaseIsNoPeer) {
  Peers peers = peers_with();
  peers.apply({.snapshot = true, .leases = {lease("10.5.60.0-24", "198.18.0.2")}});
  EXPECT_EQ(usable(peers), "");
  EXPECT_EQ(refused(peers), "");
  ASSERT_NE(peers.own_entry(), nullptr);
  EXPECT_EQ(peers.own_entry()->attrs.public_ip->to_text(), "198.18.0.2");
  peers.apply({.removed = {*parse_lease_key("10.5.60.0-24")}});
  EXPECT_EQ(peers.own_entry(), nullptr);
}

TEST(Peers, RefuseByNameAndKeepTheRest) {
  Peers peers = peers_with();
  peers.apply({.snapshot = true,
               .leases = {lease("10.5.61.0-24", "198.18.0.3"), lease("10.9.0.0-24", "198.18.0.4"),
                          lease("10.5.60.128-25", "198.18.0.5"), lease("10.4.0.0-14", "198.18.0.6"),
                          lease("10.5.70.0-24", "198.18.0.2"), lease("10.5.71.0-24", "")},
               .bad = {{"/coreos.com/network/subnets/junk", "not a subnet"}}});
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
  peers.apply({.snapshot = true, .bad = {{"p/subnets/10.5.61.0-24", "not a JSON object"}}});
  EXPECT_EQ(refused(peers), "10.5.61.0-24: not a JSON object\n");
  EXPECT_TRUE(peers.apply({.leases = {lease("10.5.61.0-24", "198.18.0.3")}}));
  EXPECT_EQ(refused(peers), "");
  EXPECT_EQ(usable(peers), "10.5.61.0-24");
  // A good lease whose entry turns bad stays in use: nothing is removed on doubt.
  EXPECT_TRUE(peers.apply({.bad = {{"p/subnets/10.5.61.0-24", "not a JSON object"}}}));
  EXPECT_EQ(usable(peers), "10.5.61.0-24");
  EXPECT_TRUE(peers.apply({.removed = {*parse_lease_key("10.5.61.0-24")}}));
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

TEST(Peers, AfterTheOwnLeaseMovedAllAreJudgedAgain) {
  Peers peers = peers_with();
  peers.apply({.snapshot = true, .leases = {lease("10.5.61.0-24", "198.18.0.3")}});
  peers.set_own(lease("10.5.61.0-24", "198.18.0.2"));
  EXPECT_EQ(usable(peers), "");
}

}  // namespace
}  // namespace flannel

#include "network/host_use.h"

#include <gtest/gtest.h>

namespace flannel {
namespace {

NetworkConfig network(const std::string& prefix) {
  return *parse_network_config(fmt::format(R"({{"Network":"{}"}})", prefix));
}

// What is occupied of `prefix`, one line each.
std::string occupied(const std::string& prefix, const HostUse& host) {
  std::string out;
  for (const OccupiedRange& range :
       occupied_ranges(host, network(prefix), *parse_lease_key("10.5.60.0-24"))) {
    out += range.range.to_text() + " " + range.use + "\n";
  }
  return out;
}

TEST(HostUse, OccupiesItsLinksGatewaysAndSingleAddresses) {
  HostUse host;
  host.addresses = {
      {"eth1", *Prefix::parse("10.5.7.9/32")},  {"eth1", *Prefix::parse("10.5.7.1/24")},
      {"eth2", *Prefix::parse("10.5.9.9/32")},  {"eth0", *Prefix::parse("198.18.0.2/24")},
      {"cni0", *Prefix::parse("10.5.60.1/24")}, {"eth3", *Prefix::parse("fc00::1/64")}};
  host.gateways = {*IpAddr::parse("10.5.7.254"), *IpAddr::parse("10.5.8.1"),
                   *IpAddr::parse("198.18.0.1"), *IpAddr::parse("fe80::1")};
  EXPECT_EQ(occupied("10.5.0.0/16", host),
            "10.5.7.0/24 the network of eth1\n"
            "10.5.8.1/32 the default gateway\n"
            "10.5.9.9/32 an address of eth2\n");
  EXPECT_EQ(occupied("10.6.0.0/16", host), "");
}

TEST(HostUse, ALinkAroundTheNetworkOccupiesItsAddressAlone) {
  HostUse host;
  host.addresses = {{"eth0", *Prefix::parse("10.5.1.2/8")}};
  EXPECT_EQ(occupied("10.5.0.0/16", host), "10.5.1.2/32 an address of eth0\n");
  EXPECT_EQ(occupied("10.6.0.0/16", host), "");
}

TEST(HostUse, WarnsOfADefaultRouteThatExpires) {
  HostUse host;
  host.ignore_advertisements = {"eth0"};
  EXPECT_EQ(overlay_warnings(host, network("10.5.0.0/16"), *parse_lease_key("10.5.60.0-24")),
            (std::vector<std::string>{
                "eth0 forwards IPv6 and so ignores router advertisements: the default route and "
                "addresses it has from them expire; `sysctl net.ipv6.conf.eth0.accept_ra=2` keeps "
                "them"}));
}

TEST(HostUse, WarnsOfANetworkThatContainsTheUnderlay) {
  HostUse host;
  host.addresses = {{"eth0", *Prefix::parse("10.5.48.2/20")}};
  host.gateways = {*IpAddr::parse("10.5.48.1")};
  EXPECT_EQ(overlay_warnings(host, network("10.5.0.0/16"), *parse_lease_key("10.5.60.0-24")),
            (std::vector<std::string>{
                "our own subnet 10.5.60.0/24 overlaps 10.5.48.0/20, the network of eth0",
                "Network 10.5.0.0/16 contains 10.5.48.0/20, the network of eth0: no node's subnet "
                "may lie there"}));
  host.addresses.clear();
  host.gateways.clear();
  for (int i = 0; i < 100; ++i) {
    host.addresses.push_back({"eth0", *Prefix::parse(fmt::format("10.5.1.{}/32", i))});
  }
  const std::vector<std::string> many =
      overlay_warnings(host, network("10.5.0.0/16"), *parse_lease_key("10.5.60.0-24"));
  EXPECT_EQ(many.size(), 9U);
  EXPECT_EQ(many.back(), "100 such ranges of the host in all");
}

}  // namespace
}  // namespace flannel

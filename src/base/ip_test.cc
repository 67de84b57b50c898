#include "base/ip.h"

#include <gtest/gtest.h>

namespace flannel {
namespace {

TEST(IpAddr, ParsesAndPrintsBothFamilies) {
  EXPECT_EQ(IpAddr::parse("10.5.60.1")->to_text(), "10.5.60.1");
  EXPECT_EQ(IpAddr::parse("FC00:5:0:001b:0:0:0:0")->to_text(), "fc00:5:0:1b::");
  EXPECT_EQ(IpAddr::parse("::")->to_text(), "::");
  EXPECT_EQ(IpAddr::parse("1:0:2:0:3:0:4:0")->to_text(), "1:0:2:0:3:0:4:0");
  EXPECT_EQ(IpAddr::parse("::1.2.3.4")->to_text(), "::102:304");
}

TEST(IpAddr, TakesAMappedAddressForTheV4One) {
  EXPECT_EQ(*IpAddr::parse("::ffff:1.2.3.4"), *IpAddr::parse("1.2.3.4"));
}

TEST(IpAddr, RefusesWhatIsNoAddress) {
  for (const char* text :
       {"", "10.5.60", "10.5.60.256", "010.5.6.1", "1::2::3", "eth0", "1.2.3.4 "}) {
    EXPECT_FALSE(IpAddr::parse(text)) << text;
  }
  EXPECT_EQ(IpAddr::parse("eth0").error().text, "invalid IP address: eth0");
}

TEST(IpAddr, KeepsBytesBothWays) {
  const IpAddr v6 = *IpAddr::parse("fd99::2");
  EXPECT_EQ(*IpAddr::from_bytes(v6.bytes()), v6);
  const IpAddr v4 = *IpAddr::parse("198.18.0.2");
  const auto raw = v4.bytes();
  EXPECT_EQ(*IpAddr::from_bytes(std::span(raw).first(4)), v4);
  EXPECT_FALSE(IpAddr::from_bytes(std::span(raw).first(5)));
}

TEST(IpAddr, KnowsItsScope) {
  EXPECT_TRUE(IpAddr::parse("169.254.1.1")->is_link_local());
  EXPECT_TRUE(IpAddr::parse("fe80::1")->is_link_local());
  EXPECT_FALSE(IpAddr::parse("fec0::1")->is_link_local());
  EXPECT_TRUE(IpAddr::parse("127.0.0.2")->is_loopback());
  EXPECT_TRUE(IpAddr::parse("::1")->is_loopback());
  EXPECT_TRUE(IpAddr::parse("ff02::1")->is_multicast());
  EXPECT_TRUE(IpAddr::parse("224.0.0.1")->is_multicast());
  EXPECT_TRUE(IpAddr::parse("10.0.0.1")->is_global_unicast());
  EXPECT_FALSE(IpAddr::parse("255.255.255.255")->is_global_unicast());
}

TEST(Prefix, MasksHostBits) {
  EXPECT_EQ(Prefix::parse("10.5.60.1/24")->masked().to_text(), "10.5.60.0/24");
  EXPECT_EQ(Prefix::parse("10.5.60.1/0")->masked().to_text(), "0.0.0.0/0");
  EXPECT_EQ(Prefix::parse("fc00:5::1/64")->masked().to_text(), "fc00:5::/64");
  EXPECT_EQ(Prefix::parse("fc00:5::1/128")->masked().to_text(), "fc00:5::1/128");
}

TEST(Prefix, ErrorsNameTheValue) {
  for (const char* text :
       {"10.5.0.0", "10.5.0.0/33", "10.5.0.0/", "10.5.0.0/-1", "/24", "fc00::/129"}) {
    EXPECT_EQ(Prefix::parse(text).error().text, fmt::format("invalid CIDR address: {}", text));
  }
}

TEST(Prefix, ComparesRanges) {
  const Prefix network = *Prefix::parse("10.5.0.0/16");
  EXPECT_TRUE(network.contains(*Prefix::parse("10.5.255.0/24")));
  EXPECT_FALSE(network.contains(*Prefix::parse("10.4.0.0/15")));
  EXPECT_TRUE(network.overlaps(*Prefix::parse("10.4.0.0/15")));
  EXPECT_FALSE(network.overlaps(*Prefix::parse("10.6.0.0/16")));
  EXPECT_FALSE(network.contains(*IpAddr::parse("fc00::1")));
  EXPECT_EQ(static_cast<unsigned>(network.size()), 65536U);
}

}  // namespace
}  // namespace flannel

#include "network/subnet_env.h"

#include <gtest/gtest.h>

namespace flannel {
namespace {

TEST(SubnetEnv, IsWrittenAsTheReferenceWritesIt) {
  const NetworkConfig dual = *parse_network_config(
      R"({"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fc00:5::/48"})");
  EXPECT_EQ(subnet_env_text(dual, *parse_lease_key("10.5.60.0-24&fc00:5:0:1b::-64"), 1450, true),
            "FLANNEL_NETWORK=10.5.0.0/16\n"
            "FLANNEL_SUBNET=10.5.60.1/24\n"
            "FLANNEL_IPV6_NETWORK=fc00:5::/48\n"
            "FLANNEL_IPV6_SUBNET=fc00:5:0:1b::1/64\n"
            "FLANNEL_MTU=1450\n"
            "FLANNEL_IPMASQ=true\n");
  const NetworkConfig v4 = *parse_network_config(R"({"Network":"10.5.0.0/16"})");
  EXPECT_EQ(subnet_env_text(v4, *parse_lease_key("10.5.60.0-24"), 1250, false),
            "FLANNEL_NETWORK=10.5.0.0/16\n"
            "FLANNEL_SUBNET=10.5.60.1/24\n"
            "FLANNEL_MTU=1250\n"
            "FLANNEL_IPMASQ=false\n");
}

TEST(SubnetEnv, ReadsBackWhatItWrote) {
  const NetworkConfig v4 = *parse_network_config(R"({"Network":"10.5.0.0/16"})");
  const LeaseKey key = *parse_lease_key("10.5.60.0-24");
  EXPECT_EQ(parse_subnet_env(subnet_env_text(v4, key, 1450, false)).key(), key);
}

TEST(SubnetEnv, ReadsDotenvRules) {
  const SubnetEnv env = parse_subnet_env(
      "# a comment\n"
      "export FLANNEL_NETWORK=\"10.5.0.0/16\"\r\n"
      "  FLANNEL_SUBNET = '10.5.60.1/24' # why\n"
      "FLANNEL_IPV6_SUBNET=fc00:5::1/64 # why\n"
      "FLANNEL_MTU\n");
  EXPECT_EQ(env.network->to_text(), "10.5.0.0/16");
  EXPECT_EQ(env.subnet->to_text(), "10.5.60.1/24");
  EXPECT_EQ(to_text(env.key()), "10.5.60.0-24&fc00:5::-64");
}

TEST(SubnetEnv, OfAListTheOneValidItemCounts) {
  EXPECT_EQ(parse_subnet_env("FLANNEL_SUBNET=junk,10.5.60.1/24, 99").subnet->to_text(),
            "10.5.60.1/24");
  EXPECT_FALSE(parse_subnet_env("FLANNEL_SUBNET=10.5.60.1/24,10.5.61.1/24").subnet);
  EXPECT_FALSE(parse_subnet_env("FLANNEL_SUBNET=fc00::1/64").subnet);
}

TEST(SubnetEnv, JunkIsNothing) {
  for (const char* text : {"", "=", "\n\n", "FLANNEL_SUBNET",
                           "FLANNEL_SUBNET=", "FLANNEL_SUBNET=\"", "FLANNEL_SUBNET=,,,"}) {
    EXPECT_EQ(parse_subnet_env(text).key(), LeaseKey{}) << text;
  }
}

}  // namespace
}  // namespace flannel

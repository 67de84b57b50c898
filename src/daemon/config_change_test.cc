#include "daemon/config_change.h"

#include <gtest/gtest.h>

namespace flannel {
namespace {

constexpr std::string_view kLive[] = {"MTU", "Learning"};

// The fields that take a restart.
std::vector<std::string> fields(const std::string& from, const std::string& to) {
  std::vector<std::string> out;
  for (const std::string& reason :
       restart_reasons(*parse_network_config(from), *parse_network_config(to), kLive)) {
    out.push_back(reason.substr(0, reason.find(':')));
  }
  return out;
}

std::string with(const std::string& options, const std::string& more = "") {
  return R"({"Network":"10.5.0.0/16",)" + more + R"("Backend":{"Type":"vxlan")" + options + "}}";
}

using Fields = std::vector<std::string>;

TEST(ConfigChangeTest, WhatCanBeTakenUp) {
  for (const std::string& to :
       {with(""), "\n " + with(""), with(R"(,"MTU":1400,"learning":true)"),
        with("", R"("EnableNFTables":true,)"), with("", R"("IPMasqExclude":["192.0.2.0/24"],)"),
        with("", R"("Unknown":1,)")}) {
    EXPECT_EQ(fields(with(""), to), Fields()) << to;
    EXPECT_EQ(fields(to, with("")), Fields()) << to;
  }
  EXPECT_EQ(fields(with(R"(,"VNI":1)"), with(R"(,"vni":2,"Vni":1)")), Fields());
}

TEST(ConfigChangeTest, WhatTakesARestart) {
  const std::string from = with("");
  EXPECT_EQ(fields(from, with(R"(,"VNI":7,"MTU":1400)")), Fields{"Backend.VNI"});
  EXPECT_EQ(fields(with(R"(,"Port":4789)"), from), Fields{"Backend.Port"});
  EXPECT_EQ(fields(from, R"({"Network":"10.5.0.0/16","Backend":{"Type":"host-gw"}})"),
            Fields{"Backend.Type"});
  EXPECT_EQ(fields(from, R"({"Network":"10.6.0.0/16","Backend":{"Type":"vxlan"}})"),
            Fields{"Network"});
  EXPECT_EQ(fields(from, with("", R"("EnableIPv6":true,"IPv6Network":"fc00:5::/48",)")),
            Fields{"EnableIPv6"});
  EXPECT_EQ(fields(from, with("", R"("SubnetLen":26,)")),
            Fields{"SubnetLen, SubnetMin, SubnetMax"});
}

}  // namespace
}  // namespace flannel

// What tests of our rules in the kernel share: a network namespace of the test's own.
#pragma once

#include <fmt/ranges.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <string>
#include <vector>

#include "firewall/plan.h"
#include "process/process.h"
#include "test/support/needs.h"
#include "test/support/shell.h"

namespace flannel {

inline const FirewallNetwork kNetworkV4 = {*Prefix::parse("10.5.0.0/16"),
                                           *Prefix::parse("10.5.1.0/24")};
inline const FirewallNetwork kNetworkV6 = {*Prefix::parse("fd00:5::/48"),
                                           *Prefix::parse("fd00:5:0:1::/64")};

inline std::string text_of(const std::vector<std::string>& lines) {
  return fmt::format("{}\n", fmt::join(lines, "\n"));
}

class FirewallTest : public testing::Test {
 protected:
  static constexpr const char* kPrograms = "/usr/sbin:/sbin:/usr/bin:/bin";

  // Before the members of a test, some of which are sockets.
  FirewallTest() { separate_ = ::unshare(CLONE_NEWNET) == 0; }

  void SetUp() override {
    ROOT_OR_SKIP();
    ASSERT_TRUE(separate_);
    for (const char* program : {"iptables-restore", "iptables-legacy-restore", "nft"}) {
      NEEDS(find_program(program, kPrograms), std::string("no ") + program);
    }
  }

  static FirewallOptions options_of(FirewallTool tool) {
    return {.tool = tool, .masquerade = true, .forward_rules = true, .excluded = {}};
  }

 private:
  bool separate_ = false;
};

}  // namespace flannel

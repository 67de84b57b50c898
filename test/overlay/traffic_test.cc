// What pods send out of the overlay, and what they send to each other, with --ip-masq.

#include "test/overlay/overlay_fixture.h"

namespace flannel {
namespace {

class TrafficTest : public OverlayFixture {
 protected:
  void SetUp() override {
    ROOT_OR_SKIP();
    ::setenv("FLANNELD_IP_MASQ", "true", 1);
    make_lab({});
  }
  void TearDown() override { ::unsetenv("FLANNELD_IP_MASQ"); }

  // The underlay has no route to pods.
  bool reaches_outside() const {
    return lab.on("p1", {"ping", "-n", "-q", "-c", "1", "-W", "1", "198.18.0.1"}).status == 0;
  }
  void flush_rules_of_node() const {
    EXPECT_EQ(lab.on("n1", {"nft", "flush", "ruleset"}).status, 0);
  }
};

TEST_F(TrafficTest, WhatLeavesTheOverlayIsMasqueradedAndNothingElse) {
  EXPECT_TRUE(eventually([&] { return reaches_outside(); })) << lab.page(1, "/status");
  const ProgramResult rule =
      lab.on("p2", {"nft", fmt::format("add table ip t; add chain ip t c {{ type filter hook input "
                                       "priority 0; }}; add rule ip t c ip saddr != {} drop",
                                       pod(1).to_text())});
  ASSERT_EQ(rule.status, 0) << rule.output;
  EXPECT_TRUE(ping()) << "from pod to pod addresses stay";
  flush_rules_of_node();
  EXPECT_TRUE(eventually([&] { return reaches_outside(); })) << lab.page(1, "/status");
  EXPECT_TRUE(eventually([&] { return is_as_planned(1); })) << lab.page(1, "/plan");
}

}  // namespace
}  // namespace flannel

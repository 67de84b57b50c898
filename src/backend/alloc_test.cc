#include "backend/alloc.h"

#include <gtest/gtest.h>

#include "backend/backend_fixture.h"

namespace flannel {
namespace {

TEST(Alloc, MakesNothing) {
  const TestNode node(v6_network(R"({"Type":"alloc"})"));
  const Lease peer =
      test_peer("0.0.0.0-0&fc00:5:0:61::-64", R"({"PublicIP":"0.0.0.0","PublicIPv6":"fd99::3"})");
  EXPECT_EQ(node.plan_text({&peer, 1}), "");
  EXPECT_EQ(to_json(node.own.attrs), R"({"PublicIP":"0.0.0.0","PublicIPv6":"fd99::2"})");
  EXPECT_EQ(*node.backend->mtu(node.network, node.external), 1500U);
}

}  // namespace
}  // namespace flannel

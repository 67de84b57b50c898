#include "base/counted.h"

#include <gtest/gtest.h>

namespace flannel {
namespace {

TEST(Counted, KnowsOneFromMany) {
  EXPECT_EQ(counted(0, "peer"), "0 peers");
  EXPECT_EQ(counted(1, "peer"), "1 peer");
  EXPECT_EQ(counted(2, "peer"), "2 peers");
}

}  // namespace
}  // namespace flannel

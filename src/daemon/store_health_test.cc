#include "daemon/store_health.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace flannel {
namespace {

using Use = StoreHealth::Use;

TEST(StoreHealth, IsWellAgainWhenAllWhoUseItSaySo) {
  StoreHealth health("etcd");
  testing::internal::CaptureStderr();
  EXPECT_FALSE(health.set(Use::watch, ""));
  EXPECT_FALSE(health.set(Use::watch, "refused"));
  EXPECT_FALSE(health.set(Use::renewal, "no answer"));
  EXPECT_FALSE(health.set(Use::watch, "timed out"));
  EXPECT_EQ(health.trouble(), "timed out");
  EXPECT_FALSE(health.is_followed());
  EXPECT_TRUE(health.set(Use::watch, ""));
  EXPECT_EQ(health.trouble(), "no answer");
  EXPECT_TRUE(health.is_followed());
  EXPECT_TRUE(health.set(Use::renewal, ""));
  EXPECT_EQ(health.trouble(), "");
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::ranges::count(log, '\n'), 2) << log;
  EXPECT_NE(log.find("etcd: refused"), std::string::npos) << log;
  EXPECT_NE(log.find("etcd: well again"), std::string::npos) << log;
}

}  // namespace
}  // namespace flannel

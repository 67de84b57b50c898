#include "base/rate_limit.h"

#include <gtest/gtest.h>

namespace flannel {
namespace {

using std::chrono::milliseconds;

TEST(RateLimit, TheFirstRunsAfterQuietFollowEachOtherAtOnceAndAFloodWaits) {
  RateLimit limit(milliseconds(100));
  const RateLimit::Clock::time_point start(std::chrono::hours(1));
  RateLimit::Clock::time_point now = start;
  const auto run = [&](milliseconds takes) {
    limit.charge(now, now + takes);
    now += takes;
  };
  for (int i = 0; i < 8; ++i) {
    EXPECT_LE(limit.next(), now);
    run(milliseconds(4));
  }
  run(milliseconds(50));
  run(milliseconds(50));
  EXPECT_GT(limit.next(), now);
  EXPECT_LE(limit.next() - now, milliseconds(100)) << "however long it took";
  now += std::chrono::seconds(1);
  EXPECT_LE(limit.next(), now);
}

}  // namespace
}  // namespace flannel

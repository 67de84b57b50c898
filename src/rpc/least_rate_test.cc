#include "rpc/least_rate.h"

#include <gtest/gtest.h>

namespace flannel {
namespace {

using std::chrono::seconds;

TEST(Progress, IsTooSlowWhereAWindowHasTooFewBytes) {
  const Progress::Clock::time_point start{std::chrono::hours(1)};
  Progress progress({.bytes = 1'000, .window = seconds(10)}, start);
  EXPECT_EQ(progress.deadline(), start + seconds(10));
  progress.add(999, start + seconds(9));
  EXPECT_EQ(progress.deadline(), start + seconds(10));
  progress.add(1, start + seconds(9));
  EXPECT_EQ(progress.deadline(), start + seconds(19)) << "it may take as long as it likes";
  progress.add(12, start + seconds(18));
  EXPECT_EQ(progress.complaint("a list", start + seconds(19)),
            "a list comes too slowly: 12 bytes within 10 s");
}

}  // namespace
}  // namespace flannel

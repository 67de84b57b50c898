#include "base/utc_text.h"

#include <gtest/gtest.h>

namespace flannel {
namespace {

TEST(UtcText, IsTheTimeToTheSecond) {
  using std::chrono::system_clock;
  EXPECT_EQ(utc_text(system_clock::time_point()), "1970-01-01T00:00:00Z");
  EXPECT_EQ(utc_text(system_clock::time_point(std::chrono::milliseconds(951'782'400'999))),
            "2000-02-29T00:00:00Z");
}

}  // namespace
}  // namespace flannel

#include "daemon/recent_text.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace flannel {
namespace {

using namespace std::chrono_literals;

TEST(RecentText, IsMadeAgainOnceItIsOld) {
  RecentText text;
  int made = 0;
  const auto at = [&](std::chrono::milliseconds time) {
    return text.get(RecentText::Clock::time_point(time), [&] { return std::to_string(++made); });
  };
  EXPECT_EQ(at(5ms), "1");
  EXPECT_EQ(at(1'004ms), "1");
  EXPECT_EQ(at(1'005ms), "2");
  EXPECT_EQ(at(1'006ms), "2");
  EXPECT_EQ(at(9'000ms), "3");
}

TEST(RecentText, IsMadeAtOnceAfterAFailure) {
  RecentText text;
  const RecentText::Clock::time_point now;
  EXPECT_THROW(text.get(now, []() -> std::string { throw std::runtime_error("interrupted"); }),
               std::runtime_error);
  EXPECT_EQ(text.get(now, [] { return std::string("there"); }), "there");
}

}  // namespace
}  // namespace flannel

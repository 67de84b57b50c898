#include "base/recent.h"

#include <gtest/gtest.h>

#include <stdexcept>
#include <string>

namespace flannel {
namespace {

using namespace std::chrono_literals;

TEST(Recent, IsMadeAgainOnceItIsOld) {
  Recent<std::string> text;
  int made = 0;
  const auto at = [&](std::chrono::milliseconds time) {
    return text.get(Recent<std::string>::Clock::time_point(time),
                    [&] { return std::to_string(++made); });
  };
  EXPECT_EQ(at(5ms), "1");
  EXPECT_EQ(at(1'004ms), "1");
  EXPECT_EQ(at(1'005ms), "2");
  EXPECT_EQ(at(1'006ms), "2");
  EXPECT_EQ(at(9'000ms), "3");
}

TEST(Recent, IsMadeAtOnceAfterAFailure) {
  Recent<std::string> text;
  const Recent<std::string>::Clock::time_point now;
  EXPECT_THROW(text.get(now, []() -> std::string { throw std::runtime_error("interrupted"); }),
               std::runtime_error);
  EXPECT_EQ(text.get(now, [] { return std::string("there"); }), "there");
}

TEST(Recent, IsMadeAgainOnceItIsInvalid) {
  Recent<int> number;
  const Recent<int>::Clock::time_point now;
  EXPECT_EQ(number.get(now, [] { return 1; }), 1);
  number.invalidate();
  EXPECT_EQ(number.get(now, [] { return 2; }), 2);
}

}  // namespace
}  // namespace flannel

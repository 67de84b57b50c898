#include "daemon/standing_warnings.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace flannel {
namespace {

std::string logged(StandingWarnings& warnings, const std::set<std::string>& now) {
  testing::internal::CaptureStderr();
  warnings.set(now);
  return testing::internal::GetCapturedStderr();
}

TEST(StandingWarnings, AreSaidOnceForAsLongAsTheyHold) {
  StandingWarnings warnings;
  EXPECT_TRUE(logged(warnings, {"one"}).ends_with("] one\n"));
  EXPECT_EQ(logged(warnings, {"one"}), "");
  EXPECT_TRUE(logged(warnings, {"one", "two"}).ends_with("] two\n"));
  EXPECT_EQ(logged(warnings, {}), "");
  EXPECT_TRUE(logged(warnings, {"one"}).ends_with("] one\n")) << "it ended and came again";
}

TEST(StandingWarnings, AreNamedWhereTheyAreFewAndCountedWhereTheyAreMany) {
  StandingWarnings warnings;
  std::set<std::string> many{"known"};
  logged(warnings, many);
  for (int i = 0; i < 20; ++i) {
    many.insert("trouble " + std::to_string(i));
  }
  const std::string log = logged(warnings, many);
  EXPECT_EQ(std::ranges::count(log, '\n'), 6) << log;
  EXPECT_TRUE(log.ends_with("… and 15 more that flannelctl status lists\n")) << log;
}

}  // namespace
}  // namespace flannel

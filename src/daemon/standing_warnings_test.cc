#include "daemon/standing_warnings.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace flannel {
namespace {

using namespace std::chrono_literals;

class StandingWarningsTest : public testing::Test {
 protected:
  // What goes to the log.
  std::string set(const std::set<std::string>& now) {
    testing::internal::CaptureStderr();
    warnings.set(now, at);
    return testing::internal::GetCapturedStderr();
  }

  StandingWarnings warnings;
  StandingWarnings::Clock::time_point at = StandingWarnings::Clock::now();
};

TEST_F(StandingWarningsTest, AreSaidOnceForAsLongAsTheyHold) {
  EXPECT_TRUE(set({"one"}).ends_with("] one\n"));
  EXPECT_EQ(set({"one"}), "");
  at += 1h;
  EXPECT_EQ(set({"one"}), "");
  EXPECT_TRUE(set({"one", "two"}).ends_with("] two\n"));
  EXPECT_EQ(set({}), "");
}

TEST_F(StandingWarningsTest, ThatComeAndGoAreSaidFromTimeToTime) {
  int lines = 0;
  for (int second = 0; second < 3'600; ++second, at += 1s) {
    const std::string log =
        set(second % 2 == 0 ? std::set<std::string>{"one"} : std::set<std::string>{});
    lines += static_cast<int>(std::ranges::count(log, '\n'));
  }
  EXPECT_EQ(lines, 6) << "once in ten minutes";
}

// Somebody who may write leases may write another one each second, too.
TEST_F(StandingWarningsTest, ThatAreAlwaysOthersAreFewLinesAMinute) {
  std::string log;
  for (int second = 0; second < 600; ++second, at += 1s) {
    log += set({"trouble " + std::to_string(second)});
  }
  EXPECT_EQ(std::ranges::count(log, '\n'), 60);
  EXPECT_TRUE(log.ends_with("… and 1 more that flannelctl status lists\n")) << log;
}

TEST_F(StandingWarningsTest, AreNamedWhereTheyAreFewAndCountedWhereTheyAreMany) {
  std::set<std::string> many{"known"};
  set(many);
  at += 1min;
  for (int i = 0; i < 20; ++i) {
    many.insert("trouble " + std::to_string(i));
  }
  const std::string log = set(many);
  EXPECT_EQ(std::ranges::count(log, '\n'), 6) << log;
  EXPECT_TRUE(log.ends_with("… and 15 more that flannelctl status lists\n")) << log;
}

}  // namespace
}  // namespace flannel

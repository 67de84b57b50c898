#include "store/watch_attempts.h"

#include <gtest/gtest.h>

#include <vector>

namespace flannel {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class WatchAttemptsTest : public testing::Test {
 protected:
  using Clock = WatchAttempts::Clock;

  // The wait after an attempt that took so long.
  Clock::duration wait_after(Clock::duration time, bool connected) {
    attempts.begin(now);
    if (connected) {
      attempts.connected();
    }
    now += time;
    return attempts.end(now);
  }

  std::vector<std::string> troubles;
  WatchAttempts attempts{[this](const std::string& trouble) { troubles.push_back(trouble); }};
  Clock::time_point now{std::chrono::hours(1)};
};

// Each wait is shortened at random by up to a quarter.
TEST_F(WatchAttemptsTest, WaitsGrowUntilAnAttemptWasConnectedForAWhile) {
  EXPECT_LE(wait_after({}, false), milliseconds(100));
  Clock::duration last{};
  for (int i = 0; i < 6; ++i) {
    last = wait_after({}, false);
  }
  EXPECT_GE(last, WatchAttempts::kMostWait * 3 / 4);
  EXPECT_LE(last, WatchAttempts::kMostWait);
  EXPECT_GE(wait_after(WatchAttempts::kLasting / 2, true), WatchAttempts::kMostWait * 3 / 4)
      << "a store that answers and hangs up again and again is not asked all the time";
  EXPECT_LE(wait_after(WatchAttempts::kLasting * 2, true), milliseconds(100));
  EXPECT_GE(wait_after({}, false), milliseconds(150)) << "and they grow again";
}

// Each may be answered with a list of everything.
TEST_F(WatchAttemptsTest, AfterAnswersThatCannotBeReadWaitsGrowFurther) {
  EXPECT_FALSE(attempts.is_stuck("7", now));
  EXPECT_TRUE(attempts.is_stuck("7", now));
  EXPECT_FALSE(attempts.is_stuck("8", now));
  Clock::duration last{};
  for (int i = 0; i < 12; ++i) {
    attempts.is_stuck("8", now);
    last = wait_after(seconds(30), true);
  }
  EXPECT_GE(last, WatchAttempts::kMostWaitForSense * 3 / 4);
  EXPECT_LE(wait_after(seconds(30), true), milliseconds(100)) << "the stream ended otherwise";
  now += 3 * WatchAttempts::kMostWaitForSense;
  attempts.is_stuck("9", now);
  EXPECT_LE(wait_after({}, true), milliseconds(200));
}

TEST_F(WatchAttemptsTest, OneThatWasNeverConnectedWasPartOfTheWait) {
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(wait_after(seconds(10), false), Clock::duration::zero()) << i;
  }
  EXPECT_GE(wait_after(seconds(3), true), WatchAttempts::kMostWait * 3 / 4);
}

TEST_F(WatchAttemptsTest, OneThatEndsIsNotConnectedAnyMore) {
  attempts.begin(now);
  EXPECT_FALSE(attempts.is_connected());
  attempts.connected();
  EXPECT_TRUE(attempts.is_connected());
  attempts.end(now);
  EXPECT_FALSE(attempts.is_connected());
  attempts.connected();
  attempts.begin(now);
  EXPECT_FALSE(attempts.is_connected());
}

TEST_F(WatchAttemptsTest, EachTroubleIsToldOnceAndItsEnd) {
  attempts.connected();
  attempts.set_trouble("nobody listens");
  attempts.set_trouble("nobody listens");
  attempts.set_trouble("no route");
  attempts.connected();
  attempts.connected();
  EXPECT_EQ(troubles, (std::vector<std::string>{"nobody listens", "no route", ""}));
  WatchAttempts silent({});
  silent.set_trouble("nobody is told");
}

}  // namespace
}  // namespace flannel

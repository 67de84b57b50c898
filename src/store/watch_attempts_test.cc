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
  attempts.settle(now);
  attempts.set_trouble("nobody listens");
  attempts.set_trouble("nobody listens");
  attempts.set_trouble("no route");
  attempts.settle(now);
  EXPECT_EQ(troubles.back(), "no route") << "it is not connected";
  attempts.connected();
  attempts.settle(now);
  attempts.settle(now);
  EXPECT_EQ(troubles, (std::vector<std::string>{"nobody listens", "no route", ""}));
  attempts.settle(now, "not quite");
  EXPECT_EQ(troubles.back(), "not quite");
  WatchAttempts silent({});
  silent.set_trouble("nobody is told");
}

// Somebody may remember a trouble that a watch before this one had.
TEST_F(WatchAttemptsTest, ThatAllIsWellIsSaidOnceAtFirst) {
  attempts.begin(now);
  attempts.connected();
  attempts.settle(now);
  attempts.settle(now);
  EXPECT_EQ(troubles, std::vector<std::string>{""});
  EXPECT_FALSE(attempts.has_trouble());
}

// A server that answers and hangs up, again and again, is one trouble.
TEST_F(WatchAttemptsTest, AfterOneThatEndedSoonItTakesMoreThanAnAnswer) {
  for (int i = 0; i < 3; ++i) {
    attempts.begin(now);
    attempts.connected();
    attempts.settle(now);
    attempts.set_trouble("ended");
    attempts.end(now);
  }
  EXPECT_EQ(troubles, (std::vector<std::string>{"", "ended"}));
  attempts.begin(now);
  attempts.connected();
  EXPECT_EQ(attempts.settles_at(), now + WatchAttempts::kLasting);
  now = attempts.settles_at();
  attempts.settle(now, "not quite");
  EXPECT_EQ(troubles.back(), "not quite");
  EXPECT_EQ(attempts.settles_at(), Clock::time_point::max());
  attempts.begin(now);
  attempts.connected();
  attempts.end(now);
  attempts.set_trouble("ended");
  attempts.begin(now);
  attempts.connected();
  attempts.heard();
  attempts.settle(now);
  EXPECT_EQ(troubles.back(), "") << "a change is proof enough";
}

// Each tells of one thing.
TEST_F(WatchAttemptsTest, OnesThatEndSoonInARowAreOneTroubleWhateverTheyTell) {
  for (int i = 0; i < 10; ++i) {
    attempts.begin(now);
    attempts.connected();
    attempts.heard();
    attempts.settle(now);
    attempts.end(now);
    attempts.set_trouble("ended");
  }
  EXPECT_EQ(troubles, (std::vector<std::string>{"", "ended", "", "ended"}));
  attempts.begin(now);
  attempts.connected();
  attempts.settle(now + WatchAttempts::kLasting);
  EXPECT_EQ(troubles.back(), "");
}

TEST_F(WatchAttemptsTest, ListsAgainAndAgainComeLessAndLessOften) {
  EXPECT_FALSE(attempts.lists_again(now)) << "history may be compacted any time";
  Clock::duration last{};
  for (int i = 0; i < 12; ++i) {
    EXPECT_TRUE(attempts.lists_again(now));
    last = wait_after({}, true);
    now += last;
  }
  EXPECT_GE(last, WatchAttempts::kMostWaitForSense * 3 / 4);
  now += 3 * WatchAttempts::kMostWaitForSense;
  EXPECT_FALSE(attempts.lists_again(now));
}

}  // namespace
}  // namespace flannel

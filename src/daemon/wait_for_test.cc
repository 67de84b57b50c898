#include "daemon/wait_for.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/loop_fixture.h"

namespace flannel {
namespace {

using namespace std::chrono_literals;

class WaitForTest : public LoopTest {
 protected:
  // What it ends with: a number, or the text of what it throws.
  std::string end_of(const std::function<Task<Result<int>>()>& attempt) {
    try {
      return std::to_string(
          run(wait_for<int>(Backoff(1ms, 1ms), "no number", attempt,
                            [this](const std::string& text) { waiting.push_back(text); })));
    } catch (const Fatal& error) {
      return std::string("fatal: ") + error.what();
    }
  }
  static Task<Result<int>> give(Result<int> result) { co_return result; }

  std::vector<std::string> waiting;
};

TEST_F(WaitForTest, SaysWhatItWaitsForUntilItIsThere) {
  int attempts = 0;
  EXPECT_EQ(end_of([&] {
              switch (++attempts) {
                case 1:
                  return give(fail("nobody has written one"));
                case 2:
                  throw std::runtime_error("connection refused");
                default:
                  return give(7);
              }
            }),
            "7");
  EXPECT_EQ(waiting, (std::vector<std::string>{"no number: nobody has written one",
                                               "no number: connection refused", ""}));
}

TEST_F(WaitForTest, EndsWhereWaitingDoesNotHelp) {
  EXPECT_EQ(end_of([] {
              return end_if_refused<int>(
                  []() -> Task<Result<int>> { throw StoreRefused("wrong password"); });
            }),
            "fatal: Failed to create SubnetManager: wrong password");
  EXPECT_EQ(end_of([]() -> Task<Result<int>> { throw Fatal("unknown backend"); }),
            "fatal: unknown backend");
  EXPECT_TRUE(waiting.empty());
}

}  // namespace
}  // namespace flannel

#include "daemon/wait_for.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <vector>

namespace flannel {
namespace {

using namespace std::chrono_literals;

class WaitForTest : public testing::Test {
 protected:
  // What it ends with: a number, or the text of what it throws.
  std::string run(const std::function<Task<Result<int>>()>& attempt) {
    const Backoff quick(1ms, 1ms);
    std::string end;
    asio::io_context io;
    asio::co_spawn(io,
                   wait_for<int>(quick, "no number", attempt,
                                 [this](const std::string& text) { waiting.push_back(text); }),
                   [&end](const std::exception_ptr& failure, int number) {
                     try {
                       if (failure) {
                         std::rethrow_exception(failure);
                       }
                       end = std::to_string(number);
                     } catch (const Fatal& error) {
                       end = std::string("fatal: ") + error.what();
                     }
                   });
    io.run_for(10s);
    return end;
  }
  static Task<Result<int>> give(Result<int> result) { co_return result; }

  std::vector<std::string> waiting;
};

TEST_F(WaitForTest, SaysWhatItWaitsForUntilItIsThere) {
  int attempts = 0;
  EXPECT_EQ(run([&] {
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
  EXPECT_EQ(run([]() -> Task<Result<int>> { throw StoreRefused("wrong password"); }),
            "fatal: Failed to create SubnetManager: wrong password");
  EXPECT_EQ(run([]() -> Task<Result<int>> { throw Fatal("unknown backend"); }),
            "fatal: unknown backend");
  EXPECT_TRUE(waiting.empty());
}

}  // namespace
}  // namespace flannel

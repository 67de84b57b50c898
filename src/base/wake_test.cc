#include "base/wake.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

namespace flannel {
namespace {

using namespace std::chrono_literals;

class WakeTest : public testing::Test {
 protected:
  WakeTest() { asio::co_spawn(io, loop(), asio::detached); }

  // Counts its turns; in the first it is busy while others wake it.
  Task<void> loop() {
    for (;;) {
      co_await wake.wait(deadline);
      if (++turns == 1) {
        wake.set();
        wake.set();
      }
    }
  }

  asio::io_context io;
  Wake wake{io.get_executor()};
  Deadline deadline = kNever;
  int turns = 0;
};

TEST_F(WakeTest, WaitsUntilItIsSet) {
  io.poll();
  EXPECT_EQ(turns, 0);
  wake.set();
  io.poll();
  EXPECT_EQ(turns, 2) << "what came while it was busy, as one";
}

TEST_F(WakeTest, RemembersWhatComesBeforeTheWait) {
  wake.set();
  io.poll();
  EXPECT_EQ(turns, 2);
}

TEST_F(WakeTest, ReturnsAtTheDeadline) {
  deadline = std::chrono::steady_clock::now() - 1ms;
  while (turns < 5) {
    io.run_one();
  }
}

}  // namespace
}  // namespace flannel

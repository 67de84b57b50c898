#include "test/support/server_process.h"

#include <gtest/gtest.h>

#include <array>
#include <set>

namespace flannel {
namespace {

// Of the 10,000 that are drawn from, so many would be different once in 3,000 times without a
// claim.
TEST(ServerPort, IsNobodyElsesAsLongAsItIsThere) {
  const std::array<ServerPort, 400> ports;
  std::set<std::uint16_t> numbers;
  for (const ServerPort& port : ports) {
    numbers.insert(port.number());
  }
  EXPECT_EQ(numbers.size(), ports.size());
}

}  // namespace
}  // namespace flannel

#include "base/nearest.h"

#include <gtest/gtest.h>

#include <string>

namespace flannel {
namespace {

TEST(Nearest, ForgivesAThird) {
  const std::string_view known[] = {"status", "down", "up"};
  EXPECT_EQ(nearest("stauts", known), "status");
  EXPECT_EQ(nearest("dwon", known), "down");
  EXPECT_EQ(nearest("down", known), "down");
  EXPECT_EQ(nearest("un", known), "");
  EXPECT_EQ(nearest("something", known), "");
  EXPECT_EQ(nearest(std::string(100, 'a'), known), "");
}

TEST(Nearest, ABeginningCountsMoreThanLetters) {
  const std::string_view known[] = {"start", "status", "lab up", "lab down"};
  EXPECT_EQ(nearest("stat", known), "status");
  EXPECT_EQ(nearest("lab", known), "") << "of two";
}

}  // namespace
}  // namespace flannel

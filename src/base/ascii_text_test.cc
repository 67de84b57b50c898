#include "base/ascii_text.h"

#include <gtest/gtest.h>

namespace flannel {
namespace {

TEST(AsciiText, OnlyItsLettersHaveACase) {
  EXPECT_EQ(lower_case("VXLAN-v6 \xc3\x84[@"), "vxlan-v6 \xc3\x84[@");
  EXPECT_EQ(lower_case(""), "");
}

TEST(AsciiText, BlanksAroundAreNoPartOfAText) {
  EXPECT_EQ(trim(" \ta b\r\n"), "a b");
  EXPECT_EQ(trim("a"), "a");
  EXPECT_EQ(trim(" \n"), "");
  EXPECT_EQ(trim(""), "");
}

}  // namespace
}  // namespace flannel

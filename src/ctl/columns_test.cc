#include "ctl/columns.h"

#include <gtest/gtest.h>

namespace flannel {
namespace {

TEST(Columns, AreAsWideAsTheirLongestCell) {
  EXPECT_EQ(in_columns({{"pod", "state"}, {"fc00:5:0:4904::21", "ok"}, {"p2"}, {"…", "x"}}, " "),
            " pod                state\n"
            " fc00:5:0:4904::21  ok\n"
            " p2\n"
            " …                  x\n");
}

}  // namespace
}  // namespace flannel

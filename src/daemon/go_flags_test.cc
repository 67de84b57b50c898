#include "daemon/go_flags.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>

namespace flannel {
namespace {

TEST(GoInt, KnowsEveryBase) {
  const std::pair<const char*, std::int64_t> good[] = {
      {"1440", 1440}, {"0x5a0", 1440}, {"0X5A0", 1440}, {"0b11", 3},
      {"0o17", 15},   {"017", 15},     {"1_000", 1000}, {"0x_ff", 255},
      {"-5", -5},     {"+5", 5},       {"0", 0},        {"-9223372036854775808", INT64_MIN}};
  for (const auto& [text, value] : good) {
    EXPECT_EQ(parse_go_int(text), value) << text;
  }
  for (const char* text :
       {"", "-", "x", "1.5", "0x", "08", "1__0", "_1", "1_", "0b2", " 1", "9223372036854775808"}) {
    EXPECT_FALSE(parse_go_int(text)) << text;
  }
}

}  // namespace
}  // namespace flannel

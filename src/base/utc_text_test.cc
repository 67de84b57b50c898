#include "base/utc_text.h"

#include <gtest/gtest.h>

namespace flannel {
namespace {

TEST(UtcText, IsTheTimeToTheSecond) {
  using std::chrono::system_clock;
  EXPECT_EQ(utc_text(system_clock::time_point()), "1970-01-01T00:00:00Z");
  EXPECT_EQ(utc_text(system_clock::time_point(std::chrono::milliseconds(951'782'400'999))),
            "2000-02-29T00:00:00Z");
}

TEST(UtcText, IsReadAsWellWithAnOffset) {
  for (const char* text : {"2026-11-24T12:00:00Z", "2026-11-24T12:00:00.123456789Z",
                           "2026-11-24T14:00:00+02:00", "2026-11-24T06:30:00-05:30"}) {
    const auto time = parse_utc_text(text);
    ASSERT_TRUE(time) << text;
    EXPECT_EQ(utc_text(*time), "2026-11-24T12:00:00Z");
  }
  for (const char* text : {"", "2026-11-24", "2026-11-24T12:00:00", "2026-13-24T12:00:00Z",
                           "2026-11-24T12:00:00Zzz", "tomorrow"}) {
    EXPECT_EQ(parse_utc_text(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace flannel

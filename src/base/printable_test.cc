#include "base/printable.h"

#include <gtest/gtest.h>

#include <limits>

namespace flannel {
namespace {

TEST(Printable, LeavesOrdinaryTextAsItIs) {
  EXPECT_EQ(printable(""), "");
  EXPECT_EQ(printable("10.5.1.0-24: no VtepMAC in {\"a\":\"b\\n\"}"),
            "10.5.1.0-24: no VtepMAC in {\"a\":\"b\\n\"}");
  EXPECT_EQ(printable("größer ≥ 3 … 𝄞"), "größer ≥ 3 … 𝄞");
}

TEST(Printable, EscapesWhatMovesATerminalOrEndsALine) {
  EXPECT_EQ(printable("\x1b[2J\r\nAll is well\t\x7f"), "\\x1b[2J\\x0d\\x0aAll is well\\x09\\x7f");
  EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a\\x00b");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m"),
            "\\xc2\\x9b31m")
      << "C1 control: CSI in one character";
  EXPECT_EQ(printable("a\xe2\x80\xa8z"), "a\\xe2\\x80\\xa8z") << "LINE SEPARATOR";
  EXPECT_EQ(printable("a\xe2\x80\xaez"), "a\\xe2\\x80\\xaez") << "RIGHT-TO-LEFT OVERRIDE";
}

TEST(Printable, EscapesWhatIsNoUtf8ByteByByte) {
  EXPECT_EQ(printable("\xff\xfe"
                      "bad\xc0"),
            "\\xff\\xfebad\\xc0");
  EXPECT_EQ(printable("\xc0\xaf"), "\\xc0\\xaf") << "overlong";
  EXPECT_EQ(printable("\xe0\x80\x80"), "\\xe0\\x80\\x80") << "overlong";
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "surrogate";
  EXPECT_EQ(printable("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "beyond U+10FFFF";
  EXPECT_EQ(printable("x\xe2\x82"), "x\\xe2\\x82") << "cut off";
  EXPECT_EQ(printable("\xe2\x28\xa1"), "\\xe2(\\xa1");
}

TEST(Printable, CutsLongTextBetweenCharacters) {
  EXPECT_EQ(printable("abcdef", 3), "abc…");
  EXPECT_EQ(printable("abc", 3), "abc");
  EXPECT_EQ(printable("äöü", 2), "äö…");
  EXPECT_EQ(printable("\x01\x02\x03", 2), "\\x01\\x02…");
  EXPECT_EQ(printable(std::string(1'000'000, 'x')).size(), kPrintableMost + 3);
  EXPECT_EQ(printable("a\x01", std::numeric_limits<std::size_t>::max()), "a\\x01") << "no limit";
}

// It may pass through two hands, and what is escaped is not escaped again.
TEST(Printable, OfItsOwnResultIsTheSame) {
  const std::string once = printable("\x1b[31m\xff\\x1b");
  EXPECT_EQ(printable(once), once);
}

}  // namespace
}  // namespace flannel

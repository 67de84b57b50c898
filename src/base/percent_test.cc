#include "base/percent.h"

#include <gtest/gtest.h>

namespace flannel {
namespace {

TEST(Percent, AllButTheUnreservedBytesAreEncoded) {
  EXPECT_EQ(percent_encode("aZ09-._~"), "aZ09-._~");
  EXPECT_EQ(percent_encode("a=b&c/d e\xff"), "a%3Db%26c%2Fd%20e%FF");
}

TEST(Percent, IsDecoded) {
  EXPECT_EQ(percent_decode("etcdserver: no leader"), "etcdserver: no leader");
  EXPECT_EQ(percent_decode("caf%C3%a9 100%25"), "caf\xc3\xa9 100%");
}

TEST(Percent, WhatIsEncodedComesBack) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) {
    all += static_cast<char>(byte);
  }
  EXPECT_EQ(percent_decode(percent_encode(all)), all);
}

TEST(Percent, ABrokenEscapeIsNone) {
  for (const char* text : {"%", "%4", "100%", "%zz", "a%4", "%-1", "%+1", "% 1", "%1 "}) {
    EXPECT_EQ(percent_decode(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace flannel

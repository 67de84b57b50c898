#include "base/base64.h"

#include <gtest/gtest.h>

namespace flannel {
namespace {

TEST(Base64Test, TheRfcsExamples) {  // RFC 4648, 10
  const std::pair<std::string, std::string> cases[] = {{"", ""},
                                                       {"Zg==", "f"},
                                                       {"Zm8=", "fo"},
                                                       {"Zm9v", "foo"},
                                                       {"Zm9vYg==", "foob"},
                                                       {"Zm9vYmE=", "fooba"},
                                                       {"Zm9vYmFy", "foobar"},
                                                       {"Zm9v\r\nYg==\n", "foob"},
                                                       {"+/+/", "\xfb\xff\xbf"}};
  for (const auto& [text, bytes] : cases) {
    EXPECT_EQ(base64_decode(text), bytes) << text;
    if (!text.contains('\n')) {
      EXPECT_EQ(base64_encode(bytes), text);
    }
  }
}

TEST(Base64Test, WhatIsNone) {
  for (const char* text : {"Z", "Zg", "Zg=", "Z===", "====", "Zm 9v", "Zg==Zg==", "Zm9-", "=Zg="}) {
    EXPECT_EQ(base64_decode(text), std::nullopt) << text;
  }
}

}  // namespace
}  // namespace flannel

#include "base/mac.h"

#include <gtest/gtest.h>

namespace flannel {
namespace {

TEST(Mac, ParsesEveryFormOfGo) {
  const Mac mac{{0x02, 0x00, 0x5e, 0x10, 0x00, 0xab}};
  for (const char* text : {"02:00:5e:10:00:ab", "02-00-5E-10-00-AB", "0200.5e10.00ab"}) {
    ASSERT_TRUE(Mac::parse(text)) << text;
    EXPECT_EQ(*Mac::parse(text), mac);
  }
  EXPECT_EQ(mac.to_text(), "02:00:5e:10:00:ab");
}

TEST(Mac, RefusesOtherText) {
  for (const char* text :
       {"", "02:00:5e:10:00", "02:00:5e:10:00:ag", "02:00-5e:10:00:ab", "02005e1000ab"}) {
    EXPECT_FALSE(Mac::parse(text)) << text;
  }
  EXPECT_EQ(Mac::parse("zz").error().text, "invalid MAC address: zz");
}

TEST(Mac, MakesLocalUnicastAddresses) {
  EXPECT_EQ(Mac::local(0xffffffffffff).to_text(), "fe:ff:ff:ff:ff:ff");
  EXPECT_EQ(Mac::local(1).to_text(), "02:00:00:00:00:01");
}

}  // namespace
}  // namespace flannel

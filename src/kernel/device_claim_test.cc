#include "kernel/device_claim.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace flannel {
namespace {

// No device has such a name, and no other run of this test.
Dev name(char last) {
  return std::string_view(fmt::format("t{}/{}", ::getpid(), last));
}

TEST(DeviceClaim, IsOneDaemonsAtATime) {
  DeviceClaim second;
  {
    DeviceClaim first;
    ASSERT_TRUE(first.hold({name('a')}));
    EXPECT_TRUE(first.hold({name('a')})) << "its own";
    const Result<void> refused = second.hold({name('a')});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().text,
              fmt::format("{} is used by another flanneld on this node: give this network a VNI of "
                          "its own",
                          name('a').text()));
    EXPECT_TRUE(second.hold({name('b')}));
  }
  EXPECT_TRUE(second.hold({name('a')})) << "the first has ended";
}

TEST(DeviceClaim, LetsGoOfNamesThatAreNotWantedAnyMore) {
  DeviceClaim first, second;
  ASSERT_TRUE(first.hold({name('a'), name('b')}));
  ASSERT_TRUE(first.hold({name('b'), name('c')}));
  EXPECT_TRUE(second.hold({name('a')}));
  EXPECT_FALSE(second.hold({name('a'), name('b')})) << "kept";
  EXPECT_TRUE(first.hold({name('a')})) << "who waits for one has none";
  EXPECT_TRUE(first.hold({}));
  EXPECT_TRUE(second.hold({name('a'), name('b'), name('c')}));
}

}  // namespace
}  // namespace flannel

#include "kernel/device_claim.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

namespace flannel {
namespace {

constexpr std::string_view kNetwork = "10.5.0.0/16", kOther = "10.6.0.0/16";

// No device has such a name, and no other run of this test.
Dev name(char last) {
  return std::string_view(fmt::format("t{}/{}", ::getpid(), last));
}

std::string refusal(char last, std::string_view rest) {
  return fmt::format("{} is used by another flanneld on this node, process {}, {}",
                     name(last).text(), ::getpid(), rest);
}

TEST(DeviceClaim, IsOneDaemonsAtATime) {
  DeviceClaim second;
  {
    DeviceClaim first;
    ASSERT_TRUE(first.hold({name('a')}, kNetwork));
    EXPECT_TRUE(first.hold({name('a')}, kNetwork)) << "its own";
    const Result<void> refused = second.hold({name('a')}, kOther);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().text,
              refusal('a', "for 10.5.0.0/16: give this network a VNI of its own"));
    EXPECT_TRUE(second.hold({name('b')}, kOther));
  }
  EXPECT_TRUE(second.hold({name('a')}, kOther)) << "the first has ended";
}

TEST(DeviceClaim, OfTheSameNetworkSaysSo) {
  DeviceClaim first, second;
  ASSERT_TRUE(first.hold({name('a')}, kNetwork));
  const Result<void> refused = second.hold({name('a')}, kNetwork);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().text, refusal('a', "for this network too: end one of them"));
}

TEST(DeviceClaim, LetsGoOfNamesThatAreNotWantedAnyMore) {
  DeviceClaim first, second;
  ASSERT_TRUE(first.hold({name('a'), name('b')}, kNetwork));
  ASSERT_TRUE(first.hold({name('b'), name('c')}, kNetwork));
  EXPECT_TRUE(second.hold({name('a')}, kOther));
  EXPECT_FALSE(second.hold({name('a'), name('b')}, kOther)) << "kept";
  EXPECT_TRUE(first.hold({name('a')}, kNetwork)) << "who waits for one has none";
  EXPECT_TRUE(first.hold({}, kNetwork));
  EXPECT_TRUE(second.hold({name('a'), name('b'), name('c')}, kOther));
}

TEST(DeviceClaim, TellsTheNetworkThatItIsForNow) {
  DeviceClaim first, second;
  ASSERT_TRUE(first.hold({name('a')}, kOther));
  ASSERT_TRUE(first.hold({name('a')}, kNetwork));
  const Result<void> refused = second.hold({name('a')}, kOther);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().text.find("for 10.5.0.0/16"), std::string::npos);
}

// A process of another user, that claims a device as we do and keeps the claim until its end.
class Stranger {
 public:
  explicit Stranger(const Dev& name) {
    int ready[2] = {};
    EXPECT_EQ(::pipe(ready), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      constexpr uid_t kNobody = 65534;
      DeviceClaim claim;
      const char ok = ::setuid(kNobody) == 0 && claim.hold({name}, kOther) ? 1 : 0;
      (void)!::write(ready[1], &ok, 1);
      ::pause();
      ::_exit(0);
    }
    char ok = 0;
    EXPECT_EQ(::read(ready[0], &ok, 1), 1);
    holds_ = ok == 1;
    ::close(ready[0]);
    ::close(ready[1]);
  }
  ~Stranger() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  Stranger(const Stranger&) = delete;
  Stranger& operator=(const Stranger&) = delete;

  bool holds() const { return holds_; }

 private:
  pid_t pid_ = 0;
  bool holds_ = false;
};

TEST(DeviceClaim, OfAnotherUserDoesNotCount) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "SKIPPED: another user's process needs root";
  }
  const Stranger stranger(name('a'));
  ASSERT_TRUE(stranger.holds());
  DeviceClaim ours;
  const Result<void> held = ours.hold({name('a')}, kNetwork);
  EXPECT_TRUE(held) << held.error().text;
  const Stranger later(name('a'));
  EXPECT_FALSE(later.holds()) << "root's counts";
}

}  // namespace
}  // namespace flannel

#include "store/last_known.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace flannel {
namespace {

using std::chrono::seconds;
using std::chrono::system_clock;

class LastKnownTest : public testing::Test {
 protected:
  LastKnownTest() {
    char pattern[] = "/tmp/flannel-known.XXXXXX";
    folder = ::mkdtemp(pattern);
  }
  ~LastKnownTest() override { std::filesystem::remove_all(folder); }

  static Lease lease(unsigned i) {
    return {
        *parse_lease_key(fmt::format("10.5.{}.0-24", i)),
        *parse_lease_attrs(fmt::format(
            R"({{"PublicIP":"198.18.0.{}","BackendType":"vxlan","BackendData":{{"VNI":1}}}})", i)),
        {}};
  }
  LastKnown known(const std::string& identity = "etcd a") const {
    return {folder / "state", identity};
  }

  std::filesystem::path folder;
  const std::vector<Lease> peers{lease(2), lease(3)};
  const system_clock::time_point time{seconds(1'700'000'000)};
};

TEST_F(LastKnownTest, RecallsWhatWasRemembered) {
  ASSERT_TRUE(known().remember("{}", lease(1), peers, time));
  const Result<LastKnown::Memory> memory = known().recall();
  ASSERT_TRUE(memory) << memory.error().text;
  EXPECT_EQ(memory->config, "{}");
  EXPECT_EQ(memory->own, lease(1));
  EXPECT_EQ(memory->peers, peers);
  EXPECT_EQ(memory->time, time);
}

TEST_F(LastKnownTest, WhatIsNewReplacesWhatWas) {
  ASSERT_TRUE(known().remember("{}", lease(1), peers, time));
  ASSERT_TRUE(known().remember("{ }", lease(4), std::span(peers).first(1), time + seconds(5)));
  const Result<LastKnown::Memory> memory = known().recall();
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->config, "{ }");
  EXPECT_EQ(memory->own, lease(4));
  EXPECT_EQ(memory->peers.size(), 1U);
}

// Leases that go, stay, change and come, at the ends and between.
TEST_F(LastKnownTest, OnlyDifferencesAreWrittenAndNoneIsMissed) {
  ASSERT_TRUE(known().remember("{}", lease(1), std::vector{lease(2), lease(3), lease(5)}, time));
  Lease changed = lease(3);
  changed.attrs.public_ip = *IpAddr::parse("198.18.9.9");
  for (const std::vector<Lease>& next :
       {std::vector{changed, lease(4), lease(5), lease(6)}, std::vector{lease(2), lease(3)},
        std::vector<Lease>{}, std::vector{lease(7)}}) {
    ASSERT_TRUE(known().remember("{}", lease(1), next, time));
    EXPECT_EQ(known().recall()->peers, next);
  }
}

TEST_F(LastKnownTest, AnotherStoreOrDaemonHasAnotherMemory) {
  ASSERT_TRUE(known().remember("{}", lease(1), peers, time));
  EXPECT_FALSE(known("etcd b").recall());
}

TEST_F(LastKnownTest, OnlyItsOwnerMayReadIt) {
  ASSERT_TRUE(known().remember("{}", lease(1), peers, time));
  struct stat status{};
  ASSERT_EQ(::stat(known().path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(LastKnownTest, AFileThatCannotBeReadIsNoMemory) {
  EXPECT_FALSE(known().recall()) << "none yet";
  std::filesystem::create_directories(folder / "state");
  std::ofstream(known().path()) << "no database, and longer than a header would be";
  EXPECT_FALSE(known().recall());
  std::ofstream(known().path(), std::ios::trunc) << "";
  EXPECT_FALSE(known().recall());
  ASSERT_TRUE(known().remember("{}", lease(1), peers, time)) << "an empty file is made ours";
  std::filesystem::resize_file(known().path(), 5000);
  EXPECT_FALSE(known().recall());
}

TEST_F(LastKnownTest, SaysWhyItCannotRemember) {
  std::ofstream(folder / "state") << "a file where the directory should be";
  const Result<void> result = known().remember("{}", lease(1), peers, time);
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().text.find((folder / "state").string()), std::string::npos);
}

}  // namespace
}  // namespace flannel

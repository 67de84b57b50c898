#include "store/last_known_state.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/directory_fixture.h"
#include "store/sqlite.h"

namespace flannel {
namespace {

using std::chrono::seconds;
using std::chrono::system_clock;

class LastKnownStateTest : public testing::Test {
 protected:
  static Lease lease(unsigned i) {
    return {
        *parse_lease_key(fmt::format("10.5.{}.0-24", i)),
        *parse_lease_attrs(fmt::format(
            R"({{"PublicIP":"198.18.0.{}","BackendType":"vxlan","BackendData":{{"VNI":1}}}})", i)),
        {}};
  }
  LastKnownStateFile file(const std::string& identity = "etcd a") const {
    return {folder / "state", identity};
  }

  const TestDirectory directory;
  const std::filesystem::path folder = directory.path();
  const std::vector<Lease> peers{lease(2), lease(3)};
  const system_clock::time_point time{seconds(1'700'000'000)};
};

TEST_F(LastKnownStateTest, ReadsWhatWasWritten) {
  ASSERT_TRUE(file().write({"{}", lease(1), peers, time}));
  const Result<LastKnownState> state = file().read();
  ASSERT_TRUE(state) << state.error().text;
  EXPECT_EQ(state->config, "{}");
  EXPECT_EQ(state->own, lease(1));
  EXPECT_EQ(state->peers, peers);
  EXPECT_EQ(state->time, time);
}

TEST_F(LastKnownStateTest, WhatIsNewReplacesWhatWas) {
  ASSERT_TRUE(file().write({"{}", lease(1), peers, time}));
  ASSERT_TRUE(file().write({"{ }", lease(4), {lease(2)}, time + seconds(5)}));
  const Result<LastKnownState> state = file().read();
  ASSERT_TRUE(state);
  EXPECT_EQ(state->config, "{ }");
  EXPECT_EQ(state->own, lease(4));
  EXPECT_EQ(state->peers.size(), 1U);
}

// Leases that go, stay, change and come, at the ends and between.
TEST_F(LastKnownStateTest, OnlyDifferencesAreWrittenAndNoneIsMissed) {
  ASSERT_TRUE(file().write({"{}", lease(1), std::vector{lease(2), lease(3), lease(5)}, time}));
  Lease changed = lease(3);
  changed.attrs.public_ip = *IpAddr::parse("198.18.9.9");
  for (const std::vector<Lease>& next :
       {std::vector{changed, lease(4), lease(5), lease(6)}, std::vector{lease(2), lease(3)},
        std::vector<Lease>{}, std::vector{lease(7)}}) {
    ASSERT_TRUE(file().write({"{}", lease(1), next, time}));
    EXPECT_EQ(file().read()->peers, next);
  }
}

TEST_F(LastKnownStateTest, ChangesAreWrittenAloneWhereTheRestIsThere) {
  EXPECT_FALSE(file().write_changes({"{}", lease(1), peers, time}, {})) << "no file yet";
  EXPECT_FALSE(file().read());
  ASSERT_TRUE(file().write({"{}", lease(1), std::vector{lease(2), lease(3), lease(5)}, time}));
  Lease changed = lease(3);
  changed.attrs.public_ip = *IpAddr::parse("198.18.9.9");
  const LeaseKey gone[] = {lease(5).key, lease(3).key};
  ASSERT_TRUE(
      file().write_changes({"{ }", lease(6), {changed, lease(4)}, time + seconds(5)}, gone));
  const Result<LastKnownState> state = file().read();
  ASSERT_TRUE(state);
  EXPECT_EQ(state->peers, (std::vector{lease(2), changed, lease(4)}));
  EXPECT_EQ(state->config, "{ }");
  EXPECT_EQ(state->own, lease(6));
  EXPECT_EQ(state->time, time + seconds(5));
  std::ofstream(file().path(), std::ios::trunc).flush();
  EXPECT_FALSE(file().write_changes({"{}", lease(1), peers, time}, {})) << "emptied meanwhile";
  EXPECT_FALSE(file().read());
}

TEST_F(LastKnownStateTest, AnotherStoreOrDaemonHasAnotherFile) {
  ASSERT_TRUE(file().write({"{}", lease(1), peers, time}));
  EXPECT_FALSE(file("etcd b").read());
}

TEST_F(LastKnownStateTest, OnlyItsOwnerMayReadIt) {
  ASSERT_TRUE(file().write({"{}", lease(1), peers, time}));
  struct stat status{};
  ASSERT_EQ(::stat(file().path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600U);
}

TEST_F(LastKnownStateTest, AFileThatCannotBeReadCountsAsNone) {
  EXPECT_FALSE(file().read()) << "none yet";
  std::filesystem::create_directories(folder / "state");
  std::ofstream(file().path()) << "no database, and longer than a header would be";
  EXPECT_FALSE(file().read());
  std::ofstream(file().path(), std::ios::trunc) << "";
  EXPECT_FALSE(file().read());
  ASSERT_TRUE(file().write({"{}", lease(1), peers, time})) << "an empty file is made ours";
  std::filesystem::resize_file(file().path(), 5000);
  EXPECT_FALSE(file().read());
  EXPECT_TRUE(file().write({"{}", lease(1), peers, time})) << "nobody else would mend it";
  EXPECT_EQ(file().read()->peers, peers);
}

// The name is the daemon's choice: whatever leads elsewhere, or is another's, was planted.
TEST_F(LastKnownStateTest, AnotherFileIsNotWrittenTo) {
  std::filesystem::create_directories(folder / "state");
  const std::filesystem::path victim = folder / "victim";
  std::ofstream(victim) << "";
  std::filesystem::create_symlink(victim, file().path());
  EXPECT_FALSE(file().write({"{}", lease(1), peers, time}));
  EXPECT_FALSE(file().read());
  EXPECT_EQ(std::filesystem::file_size(victim), 0U);
  std::filesystem::remove(file().path());
  std::ofstream(file().path()) << "";
  Database(file().path()).execute("CREATE TABLE recipes(cake TEXT); PRAGMA application_id=7");
  EXPECT_FALSE(file().write({"{}", lease(1), peers, time}));
  EXPECT_EQ(Database(file().path()).number("SELECT count(*) FROM sqlite_master"), 1);
}

TEST_F(LastKnownStateTest, SaysWhyItCannotBeWritten) {
  std::ofstream(folder / "state") << "a file where the directory should be";
  const Result<void> result = file().write({"{}", lease(1), peers, time});
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().text.find((folder / "state").string()), std::string::npos);
}

}  // namespace
}  // namespace flannel

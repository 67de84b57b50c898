#include "base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

#include "base/directory_fixture.h"

namespace flannel {
namespace {

class Files : public testing::Test {
 protected:
  void TearDown() override { ::umount2(folder_.c_str(), MNT_DETACH); }
  std::string path(const std::string& name) const { return directory_.file(name); }
  std::size_t count() const { return directory_.count(); }
  static mode_t mode_of(const std::string& path) {
    struct stat about{};
    EXPECT_EQ(::stat(path.c_str(), &about), 0);
    return about.st_mode & 07777;
  }
  static bool is_locked(const std::string& path) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    return ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0;
  }

  const TestDirectory directory_;
  const std::string folder_ = directory_.path();
};

TEST_F(Files, ReplacesWholeFiles) {
  ASSERT_TRUE(replace_file(path("a/b/file"), "one", 0640));
  ASSERT_TRUE(replace_file(path("a/b/file"), "two", 0604));
  EXPECT_EQ(read_file(path("a/b/file")), "two");
  EXPECT_EQ(mode_of(path("a/b/file")), 0604U);
  std::filesystem::create_directory(path("folder"));
  EXPECT_EQ(replace_file(path("folder"), "x", 0600).error().text,
            "write " + path("folder") + ": Is a directory");
  EXPECT_EQ(count(), 2U) << "a temporary file stayed";
  EXPECT_EQ(read_file(path("none")).error().text,
            "open " + path("none") + ": No such file or directory");
}

TEST_F(Files, ReadsRegularOnesOfTheirSizeAndWaitsForNothingElse) {
  const auto refusal = [](const Result<std::string>& text) {
    return text ? "read" : text.error().text;
  };
  ASSERT_EQ(::mkfifo(path("fifo").c_str(), 0600), 0);
  const UniqueFd writer(::open(path("fifo").c_str(), O_RDWR | O_CLOEXEC));  // its end never comes
  EXPECT_EQ(refusal(read_file(path("fifo"))), "open " + path("fifo") + ": Not a regular file");
  EXPECT_EQ(refusal(read_file("/dev/zero")), "open /dev/zero: Not a regular file");
  EXPECT_EQ(refusal(read_file(folder_)), "open " + folder_ + ": Is a directory");
  ASSERT_TRUE(replace_file(path("file"), std::string(40'000, 'x'), 0600));
  EXPECT_EQ(read_file(path("file"), 40'000), std::string(40'000, 'x'));
  EXPECT_EQ(refusal(read_file(path("file"), 39'999)), "read " + path("file") + ": File too large");
  EXPECT_EQ(refusal(read_file("/proc/self/status", 10)), "read /proc/self/status: File too large");
  EXPECT_NE(read_file("/proc/self/status")->find("VmPeak"), std::string::npos);
  const UniqueFd zero(::open("/dev/zero", O_RDONLY | O_CLOEXEC));
  EXPECT_EQ(refusal(read_all(zero.get(), 1'000'000)), "File too large");
}

TEST_F(Files, FollowsLinksOnlyWhereAdministratorsPutSome) {
  ASSERT_TRUE(replace_file(path("file"), "text", 0600));
  ASSERT_EQ(::symlink(path("file").c_str(), path("link").c_str()), 0);
  ASSERT_EQ(::symlink(path("target").c_str(), path("dangling").c_str()), 0);
  EXPECT_EQ(read_file(path("link")), "text");
  const std::string refused = "open " + path("link") + ": Too many levels of symbolic links";
  EXPECT_EQ(read_file(path("link"), kMostRead, Links::refused).error().text, refused);
  EXPECT_EQ(lock_file(path("link"), 0600).error().text, refused);
  EXPECT_FALSE(lock_file(path("dangling"), 0600));
  EXPECT_FALSE(std::filesystem::exists(path("target")));
}

TEST_F(Files, AreForNobodyElseWhateverTheUmask) {
  const mode_t before = ::umask(0);
  EXPECT_EQ(make_folders(path("a/b"), 0700), true);
  ASSERT_TRUE(replace_file(path("c/file"), "", 0644));
  ::umask(before);
  EXPECT_EQ(mode_of(path("a")), 0755U);
  EXPECT_EQ(mode_of(path("a/b")), 0700U);
  EXPECT_EQ(mode_of(path("c")), 0755U);
}

TEST_F(Files, AReadOnlyFileSystemIsTheSameReasonEachTime) {
  if (::mount("none", folder_.c_str(), "tmpfs", MS_RDONLY, "") != 0) {
    GTEST_SKIP() << "needs root";
  }
  EXPECT_EQ(replace_file(path("file"), "text", 0600).error().text,
            "create " + path("file") + ": Read-only file system");
}

TEST_F(Files, MakesFoldersAlsoWhileSomebodyRemovesEmptyOnes) {
  EXPECT_EQ(make_folders(path("a/b")), true);
  EXPECT_EQ(make_folders(path("a/b")), false);
  ASSERT_TRUE(replace_file(path("file"), "", 0600));
  EXPECT_EQ(make_folders(path("file/b")).error().text,
            "mkdir " + path("file/b") + ": Not a directory");
  const std::jthread remover([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      ::rmdir(path("parent").c_str());
      std::this_thread::sleep_for(std::chrono::microseconds(1));  // or nobody else gets at it
    }
  });
  for (int i = 0; i < 2000; ++i) {
    const Result<bool> made = make_folders(path("parent/folder"));
    ASSERT_TRUE(made) << made.error().text;
    ASSERT_EQ(::rmdir(path("parent/folder").c_str()), 0);
  }
}

TEST_F(Files, MakesAFileOnce) {
  EXPECT_EQ(create_file(path("file"), "first", 0600, true), true);
  EXPECT_EQ(create_file(path("file"), "second", 0600), false);
  EXPECT_EQ(read_file(path("file")), "first");
  EXPECT_EQ(mode_of(path("file")), 0600U);
  EXPECT_EQ(count(), 1U);
  EXPECT_EQ(create_file(path("none/file"), "", 0600).error().text,
            "create " + path("none/file") + ": No such file or directory");
}

TEST_F(Files, AProcessThatIsKilledWhileItWritesLeavesWhatWasThere) {
  ASSERT_TRUE(replace_file(path("file"), "old", 0600));
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit little{.rlim_cur = 4096, .rlim_max = 4096};
    ::setrlimit(RLIMIT_FSIZE, &little);  // SIGXFSZ comes in the middle
    (void)replace_file(path("file"), std::string(1 << 16, 'x'), 0600);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ);
  EXPECT_EQ(read_file(path("file")), "old");
  EXPECT_EQ(count(), 1U) << "a temporary file stayed";
}

TEST_F(Files, HoldsALockUntilItIsClosed) {
  {
    const Result<UniqueFd> lock = lock_file(path("lock"), 0600);
    ASSERT_TRUE(lock);
    EXPECT_TRUE(is_locked(path("lock")));
    EXPECT_EQ(mode_of(path("lock")), 0600U);
  }
  EXPECT_FALSE(is_locked(path("lock")));
  EXPECT_EQ(lock_file(path("none/lock"), 0600).error().text,
            "open " + path("none/lock") + ": No such file or directory");
}

TEST_F(Files, AFullDisk) {
  if (::mount("none", folder_.c_str(), "tmpfs", 0, "nr_inodes=2") != 0) {
    GTEST_SKIP() << "needs root";
  }
  ASSERT_EQ(create_file(path("last"), "", 0600), true);
  EXPECT_EQ(create_file(path("file"), "text", 0600).error().text,
            "create " + path("file") + ": No space left on device");
  EXPECT_FALSE(replace_file(path("last"), "text", 0600));
  EXPECT_EQ(read_file(path("last")), "") << "what was there is lost";
  const Result<UniqueFd> lock = lock_file(path("lock"), 0600);
  ASSERT_TRUE(lock);
  EXPECT_TRUE(is_locked(folder_)) << "in place of a file that cannot be made";
}

}  // namespace
}  // namespace flannel

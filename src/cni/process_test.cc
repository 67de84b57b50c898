#include "cni/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/file.h"
#include "cni/error.h"

namespace flannel::cni {
namespace {

class Processes : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(::mkdtemp(folder_.data()), nullptr); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string script(const std::string& name, const std::string& text) const {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path) << "#!/bin/sh\n" << text;
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }
  std::string folder_ = testing::TempDir() + "process-test-XXXXXX";
};

TEST_F(Processes, GiveOutputStatusAndTheirOwnVariables) {
  const ProcessOutput output =
      run_process(script("talks", "cat; echo \"$1 $GIVEN $HOME\" >&2; exit 3"), {"word"}, "input",
                  {{"GIVEN", "value"}, {"HOME", "/replaced"}});
  EXPECT_EQ(output.status, 3);
  EXPECT_EQ(output.out, "input");
  EXPECT_EQ(output.err, "word value /replaced\n");
  EXPECT_EQ(run_process(script("dies", "kill -9 $$"), {}, "").status, 128 + SIGKILL);
  const std::string much(1 << 20, 'x');  // more than any pipe holds, both ways
  EXPECT_EQ(run_process("/bin/cat", {}, much).out, much);
  EXPECT_EQ(run_process("/bin/true", {}, much).status, 0);
}

TEST_F(Processes, AreLookedForInFoldersInTurn) {
  std::filesystem::create_directories(folder_ + "/a/both");  // no program
  std::filesystem::create_directories(folder_ + "/b");
  const std::string both = script("b/both", "");
  EXPECT_EQ(find_program("both", folder_ + "/a:" + folder_ + "/b"), both);
  EXPECT_EQ(find_program("none", folder_ + "/a:" + folder_ + "/b:"), std::nullopt);
  EXPECT_EQ(find_program("./x", ""), "./x");
}

TEST_F(Processes, AProgramThatIsBeingInstalledIsWaitedFor) {
  const std::string path = folder_ + "/true";
  std::filesystem::copy_file("/bin/true", path);
  UniqueFd writer(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  std::thread installer([&writer] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    writer = UniqueFd();
  });
  EXPECT_EQ(run_process(path, {}, "").status, 0);
  installer.join();
  EXPECT_THROW(run_process(folder_ + "/none", {}, ""), CniError);
}

TEST_F(Processes, WorkInTheBackgroundHoldsNothingOfOurs) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const UniqueFd told(ends[0]);
  UniqueFd tell(ends[1]);
  const std::optional<pid_t> child = in_background([&tell] {
    struct stat mine{}, null{};
    const bool free = ::getsid(0) == ::getpid() && ::fstat(STDOUT_FILENO, &mine) == 0 &&
                      ::stat("/dev/null", &null) == 0 && mine.st_rdev == null.st_rdev;
    write_all(tell.get(), free ? "free" : "bound");
  });
  ASSERT_TRUE(child);
  tell = UniqueFd();
  EXPECT_EQ(read_all(told.get()), "free");
  int status = -1;
  EXPECT_EQ(::waitpid(*child, &status, 0), *child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace flannel::cni

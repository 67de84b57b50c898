#include "process/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "base/directory_fixture.h"
#include "base/file.h"

namespace flannel {
namespace {

constexpr std::chrono::milliseconds kLong{60'000};

class Processes : public testing::Test {
 protected:
  std::string script(const std::string& name, const std::string& text) const {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path) << "#!/bin/sh\n" << text;
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }
  const TestDirectory directory_;
  const std::string folder_ = directory_.path();
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

TEST_F(Processes, HaveTheirStandardStreamsAlone) {
  const int open = ::fcntl(STDERR_FILENO, F_DUPFD, 200);  // as somebody's library may leave one
  const ProcessOutput output = run_process("/bin/sh", {"-c", "echo /proc/self/fd/*"}, "");
  ::close(open);
  EXPECT_EQ(output.out.find(fmt::format("/fd/{}", open)), std::string::npos) << output.out;
}

TEST_F(Processes, MaySayEverythingInOneOutput) {
  Program program({.path = "/bin/sh",
                   .arguments = {"-c", "echo a; echo b >&2; echo c"},
                   .input = {},
                   .variables = {},
                   .one_output = true});
  EXPECT_EQ(program.wait().out, "a\nb\nc\n");
}

TEST_F(Processes, AreNotWaitedForWhenTheyHaveEndedButTheirChildrenHoldTheOutput) {
  const ProcessOutput output =
      run_process(script("leaves", "sleep 20 &\necho $!\n"), {}, "", {}, {.time = kLong});
  EXPECT_EQ(output.status, 0);
  const pid_t left = std::stoi(output.out);
  EXPECT_EQ(::kill(left, SIGKILL), 0) << "it may go on: it is no matter of ours";
}

TEST_F(Processes, AreKilledWithTheirChildrenWhenTheyPassALimit) {
  const auto error_of = [](const std::string& path, const ProcessLimits& limits) {
    try {
      run_process(path, {}, "", {}, limits);
    } catch (const ProcessError& error) {
      return fmt::format("{} {}", static_cast<int>(error.kind()), error.what());
    }
    return std::string("none");
  };
  const std::string slow = script("slow", "sleep 60 & echo $! >" + folder_ + "/child; wait\n");
  EXPECT_EQ(error_of(slow, {.time = std::chrono::milliseconds(1000)}),
            "1 " + slow + " did not end within 1 seconds");
  const pid_t child = std::stoi(*read_file(folder_ + "/child"));
  // Its parent is gone as well, so that it may be anybody's to collect: at most a zombie. A busy
  // machine takes its time to kill.
  const auto stat = [child] {
    return read_file(fmt::format("/proc/{}/stat", child)).value_or(") Z");
  };
  for (int i = 0; i < 500 && stat().find(") Z") == std::string::npos; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_NE(stat().find(") Z"), std::string::npos) << stat();
  EXPECT_EQ(error_of("/usr/bin/yes", {.time = kLong, .output = 100'000}),
            "2 /usr/bin/yes wrote more than 100000 bytes");
  const std::string quiet = script("quiet", "exec >&- 2>&-; sleep 60\n");
  EXPECT_EQ(error_of(quiet, {.time = std::chrono::milliseconds(1000)}),
            "1 " + quiet + " did not end within 1 seconds");
}

TEST_F(Processes, AreFollowedByAnEventLoop) {
  const auto follow = [](Program& program) {
    for (;;) {
      pollfd ready{program.fd(), POLLIN, 0};
      EXPECT_EQ(::poll(&ready, 1, 20'000), 1);
      if (const std::optional<ProcessOutput> output = program.poll()) {
        return *output;
      }
    }
  };
  Program talks({.path = script("talks", "yes | head -c 100000; echo e >&2; sleep 0.1; exit 3\n"),
                 .arguments = {},
                 .input = {},
                 .variables = {}});
  EXPECT_FALSE(talks.poll()) << "it has just begun";
  const ProcessOutput output = follow(talks);
  EXPECT_EQ(output.status, 3);
  EXPECT_EQ(output.out.size(), 100'000U);
  EXPECT_EQ(output.err, "e\n");
  Program sleeps({.path = "/bin/sleep",
                  .arguments = {"60"},
                  .input = {},
                  .variables = {},
                  .limits = {.time = std::chrono::milliseconds(100)}});
  EXPECT_THROW(follow(sleeps), ProcessError);
}

TEST_F(Processes, EndWithUs) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  const UniqueFd read_end(ends[0]);
  UniqueFd write_end(ends[1]);
  const std::string path =
      script("tells", fmt::format("echo $$ >/proc/{}/fd/{}; exec sleep 60\n", ::getpid(), ends[1]));
  const pid_t runner = ::fork();
  if (runner == 0) {
    run_process(path, {}, "");
    ::_exit(0);
  }
  std::array<char, 16> text{};
  ASSERT_GT(::read(read_end.get(), text.data(), text.size() - 1), 0);
  const pid_t program = std::stoi(text.data());
  ::kill(runner, SIGKILL);
  ::waitpid(runner, nullptr, 0);
  for (int i = 0; i < 500 && ::kill(program, 0) == 0; ++i) {
    const std::string stat = read_file(fmt::format("/proc/{}/stat", program)).value_or(") Z");
    if (stat.find(") Z") != std::string::npos) {
      return;
    }
    ::usleep(10'000);
  }
  EXPECT_NE(::kill(program, 0), 0) << "it goes on";
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
  EXPECT_THROW(run_process(folder_ + "/none", {}, ""), ProcessError);
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
}  // namespace flannel

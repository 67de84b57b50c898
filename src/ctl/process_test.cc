#include "ctl/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <thread>

#include "base/directory_fixture.h"
#include "base/file.h"

namespace flannel {
namespace {

TEST(Process, IsToldFromALaterOneWithItsPid) {
  const TestDirectory directory;
  ProcessId announced;
  const ProcessId process = start_detached({"sleep", "60"}, "", directory.file("log"),
                                           [&](const ProcessId& id) { announced = id; });
  EXPECT_EQ(announced, process);
  EXPECT_TRUE(is_alive(process));
  EXPECT_FALSE(is_alive({process.pid, process.start + 1}));
  EXPECT_TRUE(end_process({process.pid, process.start + 1}));
  EXPECT_TRUE(is_alive(process)) << "the process with that pid is another one";
  EXPECT_TRUE(end_process(process));
  EXPECT_FALSE(is_alive(process));
}

// Its main thread has ended, and another is not gone yet, as one that the kernel keeps in fsync(2).
// Here that is a thread whose end nobody has asked for who has to (ptrace(2)).
TEST(Process, IsThereAsLongAsAnyOfItsThreads) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const UniqueFd in(ends[0]);
  const UniqueFd out(ends[1]);
  const pid_t child = ::fork();
  if (child == 0) {
    std::thread([&] {
      const pid_t own = ::gettid();
      (void)!::write(out.get(), &own, sizeof own);
      ::pause();
    }).join();
  }
  const ProcessId process = process_with(child);
  pid_t thread = 0;
  ASSERT_EQ(::read(in.get(), &thread, sizeof thread), static_cast<ssize_t>(sizeof thread));
  ASSERT_EQ(::ptrace(PTRACE_SEIZE, thread, nullptr, nullptr), 0) << std::strerror(errno);
  constexpr std::chrono::milliseconds kShort{50};
  EXPECT_FALSE(end_process(process, false, {.by_itself = kShort, .by_kernel = kShort}));
  EXPECT_TRUE(is_alive(process));
  EXPECT_EQ(::waitpid(thread, nullptr, __WALL), thread);
  EXPECT_TRUE(end_process(process));
  EXPECT_FALSE(is_alive(process));
}

TEST(Program, ReturnsItsOutputAndItsFailure) {
  EXPECT_EQ(run_program({"cat"}, "hello"), "hello");
  try {
    run_program({"ls", "/nowhere-at-all"});
    ADD_FAILURE() << "it did not fail";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find("ls /nowhere-at-all: "), std::string::npos);
  }
  EXPECT_THROW(run_program({"no-such-program-at-all"}), std::runtime_error);
}

}  // namespace
}  // namespace flannel

// A program that is killed at its Nth system call.
#pragma once

#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <string>
#include <vector>

#include "base/file.h"

namespace flannel {

// Runs `program` with these variables alone and the file `input`, its output thrown away, and kills
// it before its system call number `at`, counted from its first read of standard input on. False
// where it came to its end before. Its children are left running and collected by their end.
inline bool kill_at_system_call(const std::string& program, std::vector<std::string> variables,
                                const std::string& input, int at) {
  std::vector<char*> environment;
  for (std::string& each : variables) {
    environment.push_back(each.data());
  }
  environment.push_back(nullptr);
  const UniqueFd in(::open(input.c_str(), O_RDONLY | O_CLOEXEC));
  const UniqueFd out(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(in.get(), STDIN_FILENO);
    ::dup2(out.get(), STDOUT_FILENO);
    ::dup2(out.get(), STDERR_FILENO);
    ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr);
    std::string name = program;
    std::array<char*, 2> words = {name.data(), nullptr};
    ::execve(program.c_str(), words.data(), environment.data());
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  int signal = 0;
  for (int count = 0; ::ptrace(PTRACE_SYSCALL, child, nullptr, signal) == 0;) {
    ::waitpid(child, &status, 0);
    if (WIFEXITED(status) || WIFSIGNALED(status)) {
      return false;
    }
    signal = WSTOPSIG(status) == (SIGTRAP | 0x80) ? 0 : WSTOPSIG(status);
    if (signal != 0) {
      continue;
    }
    __ptrace_syscall_info info{};
    ::ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof info, &info);
    if (info.op != PTRACE_SYSCALL_INFO_ENTRY) {
      continue;
    }
    const bool reads_input = info.entry.nr == SYS_read && info.entry.args[0] == STDIN_FILENO;
    if ((count > 0 || reads_input) && ++count == at) {
      ::kill(child, SIGKILL);
      ::waitpid(child, &status, 0);
      return true;
    }
  }
  return false;
}

}  // namespace flannel

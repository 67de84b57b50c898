#include "ctl/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <system_error>

#include "base/file.h"

namespace flannel {
namespace {

[[noreturn]] void fail_with_errno(const std::string& what) {
  throw std::system_error(errno, std::generic_category(), what);
}

std::vector<char*> pointers(const Arguments& arguments) {
  std::vector<char*> out;
  for (const std::string& argument : arguments) {
    out.push_back(const_cast<char*>(argument.c_str()));
  }
  out.push_back(nullptr);
  return out;
}

std::array<UniqueFd, 2> make_pipe() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    fail_with_errno("pipe");
  }
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

std::optional<std::string> in_path(const std::string& program) {
  const char* path = std::getenv("PATH");
  return find_program(program, path == nullptr ? "" : path);
}

std::string path_of(const std::string& program) {
  const std::optional<std::string> path = in_path(program);
  if (!path) {
    throw std::runtime_error(fmt::format("{}: not in PATH", program));
  }
  return *path;
}

// Field 22 of /proc/PID/stat; 0 where there is no such process.
std::uint64_t start_time(pid_t pid) {
  const Result<std::string> stat = read_file(fmt::format("/proc/{}/stat", pid));
  if (!stat) {
    return 0;
  }
  // The second field is the name in parentheses, and may hold anything.
  std::size_t at = stat->rfind(')') + 2;
  for (int field = 3; field < 22 && at < stat->size(); ++field) {
    at = stat->find(' ', at) + 1;
  }
  return std::strtoull(stat->c_str() + at, nullptr, 10);
}

// Its main thread is there, or nobody has asked yet how that ended.
bool is_there(const ProcessId& process) {
  return process.start != 0 && process_with(process.pid) == process;
}

// Names this process alone; none where it is gone, or no handle is to be had.
UniqueFd handle_of(const ProcessId& process) {
  UniqueFd handle(static_cast<int>(::syscall(SYS_pidfd_open, process.pid, 0)));
  return is_there(process) ? std::move(handle) : UniqueFd();
}

// With all of its threads. A signal that we catch ends the wait.
bool ends_within(const UniqueFd& handle, std::chrono::milliseconds limit) {
  pollfd ended{handle.get(), POLLIN, 0};
  return ::poll(&ended, 1, static_cast<int>(limit.count())) > 0;
}

// In the child, between fork and exec: only calls that are safe there.
[[noreturn]] void become(const std::vector<char*>& arguments, const char* netns, int log,
                         int go_ahead) {
  char byte = 0;
  const bool released = ::read(go_ahead, &byte, 1) == 1;  // else our parent is gone: so are we
  const int space = *netns == 0 ? -1 : ::open(netns, O_RDONLY | O_CLOEXEC);
  const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (released && (*netns == 0 || ::setns(space, CLONE_NEWNET) == 0) && ::dup2(nothing, 0) == 0 &&
      ::dup2(log, 1) == 1 && ::dup2(log, 2) == 2) {
    ::closefrom(3);  // a lock is for programs that we wait for
    ::setsid();
    ::signal(SIGINT, SIG_DFL);
    ::signal(SIGTERM, SIG_DFL);
    ::execvp(arguments[0], arguments.data());
  }
  ::_exit(127);
}

}  // namespace

RunningProgram::RunningProgram(const Arguments& arguments, const std::string& input)
    : program_({.path = path_of(arguments[0]),
                .arguments = {arguments.begin() + 1, arguments.end()},
                .input = input,
                .variables = {},
                .one_output = true,
                .limits = {.time = std::chrono::hours(24), .output = 1 << 30}}) {}

ProgramResult RunningProgram::wait() {
  ProcessOutput output = program_.wait();
  return {output.status, std::move(output.out)};
}

std::string run_program(const Arguments& arguments, const std::string& input) {
  ProgramResult result = RunningProgram(arguments, input).wait();
  if (result.status != 0) {
    std::string command;
    for (const std::string& argument : arguments) {
      command += (command.empty() ? "" : " ") + argument;
    }
    throw std::runtime_error(fmt::format("{}: {}", command, result.output));
  }
  return std::move(result.output);
}

std::string last_line(const std::string& text) {
  const std::size_t end = text.find_last_not_of(" \n");
  if (end == std::string::npos) {
    return "";
  }
  const std::size_t start = text.rfind('\n', end);
  return text.substr(start == std::string::npos ? 0 : start + 1,
                     start == std::string::npos ? end + 1 : end - start);
}

bool is_in_path(const std::string& program) {
  return in_path(program).has_value();
}

ProcessId process_with(pid_t pid) {
  return {pid, start_time(pid)};
}

bool is_alive(const ProcessId& process) {
  const UniqueFd handle = handle_of(process);
  return handle ? !ends_within(handle, std::chrono::milliseconds(0)) : is_there(process);
}

ProcessId start_detached(const Arguments& arguments, const std::string& netns,
                         const std::string& log,
                         const std::function<void(const ProcessId&)>& announce) {
  const std::string space = netns.empty() ? "" : "/run/netns/" + netns;
  const UniqueFd output(::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!output) {
    fail_with_errno(log);
  }
  const std::vector<char*> words = pointers(arguments);
  std::array<UniqueFd, 2> go_ahead = make_pipe();
  const pid_t pid = ::fork();
  if (pid < 0) {
    fail_with_errno("fork");
  }
  if (pid == 0) {
    ::close(go_ahead[1].release());
    become(words, space.c_str(), output.get(), go_ahead[0].get());
  }
  const ProcessId process = process_with(pid);
  announce(process);
  if (::write(go_ahead[1].get(), "", 1) != 1) {
    fail_with_errno(arguments[0]);
  }
  return process;
}

bool end_process(const ProcessId& process, bool kill, const EndLimits& limits) {
  const UniqueFd handle = handle_of(process);
  if (!handle) {
    return !is_there(process);
  }
  // Through the handle: a pid that was reused meanwhile is not hit.
  const auto ends_by = [&](int signal, std::chrono::milliseconds limit) {
    ::syscall(SYS_pidfd_send_signal, handle.get(), signal, nullptr, 0);
    return ends_within(handle, limit);
  };
  const bool ended =
      (!kill && ends_by(SIGTERM, limits.by_itself)) || ends_by(SIGKILL, limits.by_kernel);
  if (ended) {
    ::waitpid(process.pid, nullptr, WNOHANG);  // where it is our child
  }
  return ended;
}

}  // namespace flannel

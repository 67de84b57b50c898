// Programs as processes: run to their end, or started in a network namespace and left running.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/result.h"
#include "process/process.h"

namespace flannel {

using Arguments = std::vector<std::string>;

struct ProgramResult {
  int status = 0;      // exit code; 128 + signal
  std::string output;  // stdout and stderr together
};

// A running program of PATH: Ctrl-C is for us to act on, and nothing but its end ends it.
class RunningProgram {
 public:
  // `input` becomes its stdin. Throws std::runtime_error.
  explicit RunningProgram(const Arguments& arguments, const std::string& input = "");
  ProgramResult wait();

 private:
  Program program_;
};

// Runs a program to its end; throws std::runtime_error with its output where it fails.
std::string run_program(const Arguments& arguments, const std::string& input = "");

// The last line that is not blank.
std::string last_line(const std::string& text);

// A program by this name is in a folder of PATH.
bool is_in_path(const std::string& program);

// A process; the time it started distinguishes it from a later one with the same pid.
struct ProcessId {
  pid_t pid = 0;
  std::uint64_t start = 0;  // clock ticks since boot, /proc/PID/stat field 22
  bool operator==(const ProcessId&) const = default;
};

// The process that has this pid now; its start is 0 where none has.
ProcessId process_with(pid_t pid);

// A thread of it goes on, be it one that waits for a disk when the main thread has ended.
bool is_alive(const ProcessId& process);

// Starts a program in the network namespace `netns` (a name under /run/netns; empty for ours), in
// a session of its own, with output appended to `log`. `announce` is called with its id before the
// program begins, so that it can be written down. Throws where it cannot be started.
ProcessId start_detached(const Arguments& arguments, const std::string& netns,
                         const std::string& log,
                         const std::function<void(const ProcessId&)>& announce);

// How long a process may take to end.
struct EndLimits {
  // Behind SIGTERM: longer than a daemon waits for a disk that is to take its last known state.
  std::chrono::milliseconds by_itself{10'000};
  // Behind SIGKILL: what the kernel still does for it and nothing interrupts, such as fsync(2), or
  // closing an inotify instance, which waits for all who notify of files just now
  // (fsnotify_destroy_group() of fs/notify/group.c: seconds on a busy machine).
  std::chrono::milliseconds by_kernel{60'000};
};

// SIGTERM (or SIGKILL at once with `kill`), then SIGKILL. False where it is still there after that.
bool end_process(const ProcessId& process, bool kill = false, const EndLimits& limits = {});

}  // namespace flannel

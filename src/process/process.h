// Other processes: programs run to their end, and work that goes on behind us.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace flannel {

// What a program may take. A kubelet gives a call up to two minutes (--runtime-request-timeout),
// and should get an error that names the program that did not end.
struct ProcessLimits {
  std::chrono::milliseconds time{100'000};
  std::size_t output = 4 << 20;  // bytes of each stream
};

class ProcessError : public std::runtime_error {
 public:
  enum class Kind {
    not_started,  // it has done nothing that there is to be undone
    too_slow,
    too_much_output,
    io,  // a pipe, or waiting for it
  };
  ProcessError(Kind kind, const std::string& text) : std::runtime_error(text), kind_(kind) {}

  Kind kind() const { return kind_; }

 private:
  Kind kind_;
};

struct ProcessOutput {
  int status = 0;   // exit code; 128 + N for signal N
  std::string out;  // standard output
  std::string err;  // standard error
};

// The program's path: `name` itself where it has a slash, else the first executable file of that
// name in `folders`, separated by colons. Nothing where there is none.
std::optional<std::string> find_program(const std::string& name, const std::string& folders);

// A program that runs, in a process group of its own and with its standard streams alone: what it
// prints is collected, its end is waited for or made. It is killed when we are.
class Program {
 public:
  struct Command {
    std::string path;
    std::vector<std::string> arguments;
    std::string input;  // its standard input
    // In place of those of our own environment.
    std::vector<std::pair<std::string, std::string>> variables;
    bool one_output = false;  // what it says to standard error comes between the rest
    ProcessLimits limits = {};
  };

  // ETXTBSY (somebody is just installing it) is waited for, up to a second. Throws ProcessError.
  explicit Program(const Command& command);
  Program(Program&&) noexcept;
  ~Program();  // kills its group, unless it has ended

  // Until it has ended; not until children have that it leaves behind with its output. Throws
  // ProcessError; where it passes a limit it has to be destroyed. Once.
  ProcessOutput wait();

  // The same in an event loop: does what there is to be done, without waiting, and says nothing
  // before the program has ended. To be called whenever fd() is readable, which it is as well when
  // the program's time is over.
  std::optional<ProcessOutput> poll();
  int fd();

 private:
  class Child;
  std::optional<ProcessOutput> step(std::chrono::milliseconds most);

  std::string path_;
  ProcessLimits limits_;
  std::chrono::steady_clock::time_point deadline_;
  std::unique_ptr<Child> child_;
};

// Runs it to its end. Throws as Program does.
ProcessOutput run_process(const std::string& path, const std::vector<std::string>& arguments,
                          const std::string& input,
                          const std::vector<std::pair<std::string, std::string>>& variables = {},
                          const ProcessLimits& limits = {});

// Does `work`, which throws nothing, in a child with a session of its own and no terminal: neither
// signals for us nor who waits for the end of our output concerns it. Its process id; where none
// can be made the work is done when this returns, and there is no id.
std::optional<pid_t> in_background(const std::function<void()>& work);

}  // namespace flannel

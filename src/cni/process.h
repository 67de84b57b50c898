// Other processes: programs run to their end, and work that goes on behind us.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace flannel::cni {

struct ProcessOutput {
  int status = 0;   // exit code; 128 + N for signal N
  std::string out;  // standard output
  std::string err;  // standard error
};

// The program's path: `name` itself where it has a slash, else the first executable file of that
// name in `folders`, separated by colons. Nothing where there is none.
std::optional<std::string> find_program(const std::string& name, const std::string& folders);

// Runs it with `input` on its standard input. `variables` replace those of our own environment.
// ETXTBSY (somebody is just installing it) is waited for, up to a second. Throws CniError
// (io_failure) where it cannot be started.
ProcessOutput run_process(const std::string& path, const std::vector<std::string>& arguments,
                          const std::string& input,
                          const std::vector<std::pair<std::string, std::string>>& variables = {});

// Does `work`, which throws nothing, in a child with a session of its own and no terminal: neither
// signals for us nor who waits for the end of our output concerns it. Its process id; where none
// can be made the work is done when this returns, and there is no id.
std::optional<pid_t> in_background(const std::function<void()>& work);

}  // namespace flannel::cni

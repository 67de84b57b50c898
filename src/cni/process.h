// Other programs, run to their end.
#pragma once

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

}  // namespace flannel::cni

// The programs that tests run.
#pragma once

#include <cstdlib>
#include <string>

namespace flannel {

// As they were just built with the tests; FLANNEL_PROGRAMS names the folder of others, as of the
// release (`make test-release`).
inline std::string program_path(const std::string& name) {
  const char* const folder = std::getenv("FLANNEL_PROGRAMS");
  return (folder != nullptr ? std::string(folder) : FLANNEL_BINARY_DIR "/bin") + "/" + name;
}

}  // namespace flannel

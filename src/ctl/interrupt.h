// Ctrl-C, for commands that have something to tidy up.
#pragma once

#include <stdexcept>

namespace flannel {

// Ends the command with exit code 130.
class Interrupted : public std::runtime_error {
 public:
  Interrupted() : std::runtime_error("interrupted") {}
};

// From now on SIGINT and SIGTERM only set what the others ask for.
void catch_interrupts();
bool is_interrupted();
// Throws Interrupted where it was set.
void check_interrupted();

}  // namespace flannel

#include "ctl/interrupt.h"

#include <signal.h>

namespace flannel {
namespace {

volatile sig_atomic_t caught = 0;

}  // namespace

void catch_interrupts() {
  struct sigaction action{};
  action.sa_handler = [](int) { caught = 1; };
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

bool is_interrupted() {
  return caught != 0;
}

void check_interrupted() {
  if (is_interrupted()) {
    throw Interrupted();
  }
}

}  // namespace flannel

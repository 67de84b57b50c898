// What the reconciler knows of the kernel: how much is as wanted, and what is not and why.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "kernel/net_state.h"
#include "reconcile/shadows.h"

namespace flannel {

// An object the kernel did not take (or let go), with its own words; or one that another program
// keeps undoing, and that is put back later (EBUSY).
struct Problem {
  Op op;
  int error = 0;     // errno
  std::string text;  // extack or strerror
  unsigned attempts = 0;
  std::chrono::system_clock::time_point since;
  // Objects that need this one, and are not tried before it is there.
  std::size_t waiting = 0;
};

enum class ObjectState { present, pending, failed };

struct Report {
  std::uint64_t passes = 0;
  std::uint64_t ops = 0;  // applied since start, with success
  // In some pass every link and address that is wanted was there, and every op had been answered,
  // if only with a failure.
  bool complete = false;
  std::size_t wanted = 0;   // objects of the last plan
  std::size_t pending = 0;  // of those and the surplus ones, how many are not as wanted
  std::chrono::system_clock::time_point last_pass;
  std::chrono::microseconds last_pass_took{0};
  std::vector<Problem> problems;  // in the order of their objects' keys (key_less)
  std::vector<Shadow> shadows;    // nothing that we may change
};

}  // namespace flannel

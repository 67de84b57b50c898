// What the reconciler knows of the kernel: how much is as wanted, and what is not and why.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <numeric>
#include <string>
#include <utility>
#include <variant>
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
  bool held_down = false;  // the second of the two; `attempts` is how often it was put back
};

enum class ObjectState { present, pending, failed };

// A number a kind, by the kind's place in the list.
using KindCounts = std::array<std::uint64_t, std::variant_size_v<Object>>;
// The first word of each kind's text: `link`, `addr`, ….
std::vector<std::string> kind_names();

struct Report {
  std::uint64_t passes = 0;
  std::uint64_t ops = 0;  // applied since start, with success
  // In some pass every link and address that is wanted was there, and every op had been answered,
  // if only with a failure.
  bool complete = false;
  std::size_t wanted = 0;  // objects of the last plan
  KindCounts pending{};    // of those and the surplus ones, how many are not as wanted
  std::chrono::system_clock::time_point last_pass;
  std::chrono::microseconds last_pass_took{0};
  std::vector<Problem> problems;  // in the order of their objects' keys (key_less)
  std::vector<Shadow> shadows;    // nothing that we may change

  // Since start: objects that were as planned, were changed by another program and put back.
  KindCounts repairs{};
  // Since start: ops that the kernel refused, each time, by kind and errno.
  std::map<std::pair<std::size_t, int>, std::uint64_t> failures;
};

inline std::uint64_t total(const KindCounts& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

}  // namespace flannel

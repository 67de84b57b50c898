// How fast a long answer has to come, however long it is.
#pragma once

#include <fmt/core.h>

#include <chrono>
#include <cstddef>
#include <string>

#include "base/wake.h"

namespace flannel {

// A limit of the whole would refuse what is long and comes over a slow link; one of the time
// between two bytes lets a server that has almost stopped keep us for ever. So it is `bytes` within
// `window`, again and again until the answer ends: 1 kB/s, a fraction of the slowest link.
struct LeastRate {
  std::size_t bytes = 60'000;
  std::chrono::milliseconds window{60'000};
};

// One answer as it comes.
class Progress {
 public:
  using Clock = std::chrono::steady_clock;

  Progress(LeastRate least, Clock::time_point now) : least_(least), began_(now) {}

  void add(std::size_t bytes, Clock::time_point now) {
    bytes_ += bytes;
    if (bytes_ >= least_.bytes) {
      bytes_ = 0;
      began_ = now;
    }
  }
  // It is too slow then, unless more has come.
  Deadline deadline() const { return began_ + least_.window; }
  // How slow it is, for people: `the list of nodes comes too slowly: 12 bytes within 60 s`.
  std::string complaint(const std::string& answer, Clock::time_point now) const {
    return fmt::format("{} comes too slowly: {} bytes within {} s", answer, bytes_,
                       std::chrono::round<std::chrono::seconds>(now - began_).count());
  }

 private:
  const LeastRate least_;
  Clock::time_point began_;
  std::size_t bytes_ = 0;
};

}  // namespace flannel

// Audits: kinds that are listed again from time to time, whatever notifications say.
#pragma once

#include <chrono>
#include <vector>

#include "kernel/kernel.h"

namespace flannel {

// Time is passed in.
class AuditSchedule {
 public:
  using Clock = std::chrono::steady_clock;

  // `kernel` outlives this object. `every`: between two audits of kinds for which it names no time.
  AuditSchedule(const Kernel& kernel, std::chrono::milliseconds every)
      : kernel_(kernel), every_(every), listed_at_(kernel.audits().size()) {}

  // What is to be listed at `now`.
  struct Due {
    KindSet kinds;
    // Kinds are among them that have no time of their own: then all is planned anew, since ways of
    // packets may change without a word, too.
    bool in_full = false;
  };
  Due due(Clock::time_point now) const;
  // When the next audit is due.
  Clock::time_point next() const;
  // These were listed at `now`. An audit is done where all of its kinds were.
  void listed(KindSet kinds, Clock::time_point now);

 private:
  Clock::time_point end_of(const Audit& audit, Clock::time_point listed_at) const {
    return listed_at + audit.every.value_or(every_);
  }

  const Kernel& kernel_;
  std::chrono::milliseconds every_;
  std::vector<Clock::time_point> listed_at_;  // the kinds of each of the kernel's audits
};

}  // namespace flannel

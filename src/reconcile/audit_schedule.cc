#include "reconcile/audit_schedule.h"

#include <algorithm>

namespace flannel {

AuditSchedule::Due AuditSchedule::due(Clock::time_point now) const {
  Due due;
  const std::vector<Audit> audits = kernel_.audits();
  for (std::size_t i = 0; i < audits.size(); ++i) {
    if (end_of(audits[i], listed_at_[i]) <= now) {
      due.kinds |= audits[i].kinds;
      due.in_full = due.in_full || !audits[i].every;
    }
  }
  return due;
}

AuditSchedule::Clock::time_point AuditSchedule::next() const {
  Clock::time_point next = Clock::time_point::max();
  const std::vector<Audit> audits = kernel_.audits();
  for (std::size_t i = 0; i < audits.size(); ++i) {
    next = std::min(next, end_of(audits[i], listed_at_[i]));
  }
  return next;
}

void AuditSchedule::listed(KindSet kinds, Clock::time_point now) {
  const std::vector<Audit> audits = kernel_.audits();
  for (std::size_t i = 0; i < audits.size(); ++i) {
    if ((audits[i].kinds & ~kinds).none()) {
      listed_at_[i] = now;
    }
  }
}

}  // namespace flannel

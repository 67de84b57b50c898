// Reconciler: what is listed again from time to time, whatever notifications say.

#include <optional>
#include <string>
#include <vector>

#include "reconcile/mirror.h"
#include "reconcile/reconciler.h"

namespace flannel {

// When these kinds, listed at that time, are listed again.
Reconciler::Clock::time_point Reconciler::end_of(const Audit& audit,
                                                 Clock::time_point listed_at) const {
  return listed_at + audit.every.value_or(timing_.audit);
}

Reconciler::Clock::time_point Reconciler::next_audit() const {
  Clock::time_point next = Clock::time_point::max();
  const std::vector<Audit> audits = kernel_.audits();
  for (std::size_t i = 0; i < audits.size(); ++i) {
    next = std::min(next, end_of(audits[i], listed_at_[i]));
  }
  return next;
}

// Lists the kinds that have a time of their own where that has come; true where they are as they
// were, and no other kind is to be listed.
bool Reconciler::audits_agree() {
  KindSet due;
  const std::vector<Audit> audits = kernel_.audits();
  for (std::size_t i = 0; i < audits.size(); ++i) {
    if (end_of(audits[i], listed_at_[i]) <= last_pass_) {
      if (!audits[i].every) {
        return false;  // all is planned anew, as ways of packets may change without a word, too
      }
      due |= audits[i].kinds;
    }
  }
  if (due.none()) {
    return true;
  }
  const NetState rows = rows_of(have_.ours, due);
  const std::optional<FixedSettings> fixed = have_.fixed_settings;
  const std::string suffix = have_.rules_suffix;
  dump_needed_ |= due;
  dump();
  return rows_of(have_.ours, due) == rows && have_.fixed_settings == fixed &&
         have_.rules_suffix == suffix;
}

}  // namespace flannel

#include "network/bad_entries.h"

#include <fmt/core.h>

namespace flannel {
namespace {

constexpr std::size_t kMost = kMostBadEntries + kMostUnnamedBad;

}  // namespace

void BadEntries::add(std::uint64_t digest) {
  if (all_.size() < kMost) {
    all_.insert(digest);
  }
}

bool BadEntries::remove(const std::string& name) {
  const bool was_named = reasons_.erase(name) > 0;
  return all_.erase(bad_digest(name)) > 0 || was_named;
}

bool BadEntries::apply(const LeaseUpdate& update) {
  bool changed = update.snapshot && !all_.empty();
  if (update.snapshot) {
    all_.clear();
    reasons_.clear();
  }
  if (!all_.empty()) {
    for (const Lease& lease : update.leases) {
      changed = remove(to_text(lease.key)) || changed;
    }
    for (const LeaseKey& key : update.removed) {
      changed = remove(to_text(key)) || changed;
    }
    for (const std::string& name : update.bad_removed) {
      changed = remove(name) || changed;
    }
  }
  const std::size_t before = all_.size();
  for (const BadEntry& entry : update.bad) {
    add(bad_digest(entry.key));
    const auto known = reasons_.find(entry.key);
    const bool is_named = known != reasons_.end();
    if (is_named ? known->second != entry.reason : reasons_.size() < kMostBadEntries) {
      reasons_[entry.key] = entry.reason;
      changed = true;
    }
  }
  for (const std::uint64_t digest : update.more_bad) {
    add(digest);
  }
  return changed || all_.size() != before;
}

std::string BadEntries::others() const {
  const std::size_t count = unnamed();
  const std::string_view over = all_.size() == kMost ? "over " : "";
  return count == 0 ? "" : fmt::format("{}{} more entries cannot be read", over, count);
}

}  // namespace flannel

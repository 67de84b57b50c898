#include "reconcile/shadows.h"

#include <algorithm>

#include "base/log.h"

namespace flannel {
namespace {

bool goes_before(const Route::Key& a, const Route::Key& b) {
  return b.dst.contains(a.dst) && (a.dst != b.dst || a.metric < b.metric);
}

// Those of a pass that are written to the log one by one; the status lists more.
constexpr std::size_t kMostLogged = 5;

// Rows of `all` that `known` lacks, as far as they are logged.
std::vector<Shadow> news(const std::vector<Shadow>& all, const std::vector<Shadow>& known) {
  std::vector<Shadow> out;
  for (const Shadow& shadow : all) {
    const auto at = std::ranges::lower_bound(known, shadow.by.key, {},
                                             [](const Shadow& row) { return row.by.key; });
    if (out.size() < kMostLogged && (at == known.end() || *at != shadow)) {
      out.push_back(shadow);
    }
  }
  return out;
}

}  // namespace

std::vector<Shadow> find_shadows(const Table<Route>& wanted, const Table<Route>& foreign) {
  std::vector<Shadow> shadows;
  for (const Route& route : foreign) {
    // What contains it begins where it does, or before.
    const auto behind = std::ranges::upper_bound(wanted, route.key.dst.ip, {},
                                                 [](const Route& row) { return row.key.dst.ip; });
    if (behind != wanted.begin() && goes_before(route.key, std::prev(behind)->key)) {
      shadows.push_back({std::prev(behind)->key, route});
    }
  }
  return shadows;
}

std::string to_text(const Shadow& shadow) {
  return fmt::format("{} takes packets to {}: remove it", to_text(Object(shadow.by)),
                     shadow.ours.dst.to_text());
}

void log_changes(const std::vector<Shadow>& before, const std::vector<Shadow>& now) {
  for (const Shadow& shadow : news(now, before)) {
    log_warning("{}", to_text(shadow));
  }
  for (const Shadow& shadow : news(before, now)) {
    log_info("{} takes no packets to {} any more", to_text(Object(shadow.by)),
             shadow.ours.dst.to_text());
  }
}

}  // namespace flannel

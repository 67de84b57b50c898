#include "reconcile/shadows.h"

#include <linux/rtnetlink.h>

#include <algorithm>
#include <limits>

#include "base/log.h"

namespace flannel {
namespace {

bool goes_before(const Route::Key& a, const Route::Key& b) {
  return b.dst.contains(a.dst) && (a.dst != b.dst || a.metric < b.metric);
}

// Behind the keys of all routes whose destinations begin at `ip`.
Route::Key last_from(const IpAddr& ip) {
  constexpr std::uint32_t kMost = std::numeric_limits<std::uint32_t>::max();
  return {{ip, static_cast<std::uint8_t>(ip.bits())}, kMost, kMost};
}

// Those of a pass that are written to the log one by one; the status lists more.
constexpr std::size_t kMostShadowsLogged = 5;

// Rows of `all` that `known` lacks, as far as they are logged.
std::vector<Shadow> news(const std::vector<Shadow>& all, const std::vector<Shadow>& known) {
  std::vector<Shadow> out;
  for (const Shadow& shadow : all) {
    const auto at = std::ranges::lower_bound(known, shadow.by.key, {},
                                             [](const Shadow& row) { return row.by.key; });
    if (out.size() < kMostShadowsLogged && (at == known.end() || *at != shadow)) {
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
    const Route* before = wanted.find_last(last_from(route.key.dst.ip));
    // A blackhole is for what nothing else leads to.
    if (before != nullptr && before->type == RTN_UNICAST && goes_before(route.key, before->key)) {
      shadows.push_back({before->key, route});
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

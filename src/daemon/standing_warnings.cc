#include "daemon/standing_warnings.h"

#include "base/log.h"

namespace flannel {
namespace {

constexpr std::size_t kMostInAMinute = 5;
constexpr std::chrono::minutes kSilence{10};

}  // namespace

void StandingWarnings::set(const std::set<std::string>& now, Clock::time_point at) {
  std::erase_if(known_, [&](const auto& entry) {
    return !now.contains(entry.first) && entry.second + kSilence <= at;
  });
  if (at - minute_began_ >= std::chrono::minutes(1)) {
    minute_began_ = at;
    logged_ = 0;
  }
  std::size_t more = 0;
  for (const std::string& warning : now) {
    const auto [entry, is_new] = known_.try_emplace(warning);
    if (is_new && logged_ < kMostInAMinute) {
      log_warning("{}", warning);
      entry->second = at;
      ++logged_;
    } else if (is_new) {
      ++more;
    }
  }
  if (more > 0 && logged_ == kMostInAMinute) {
    log_warning("… and {} more that flannelctl status lists", more);
    ++logged_;
  }
}

}  // namespace flannel

#include "daemon/standing_warnings.h"

#include "base/log.h"

namespace flannel {

void StandingWarnings::set(std::set<std::string> now) {
  constexpr std::size_t kMostLogged = 5;
  std::size_t news = 0;
  for (const std::string& warning : now) {
    if (!logged_.contains(warning) && ++news <= kMostLogged) {
      log_warning("{}", warning);
    }
  }
  if (news > kMostLogged) {
    log_warning("… and {} more that flannelctl status lists", news - kMostLogged);
  }
  logged_ = std::move(now);
}

}  // namespace flannel

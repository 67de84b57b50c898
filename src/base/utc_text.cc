#include "base/utc_text.h"

#include <fmt/format.h>

#include <cstring>
#include <ctime>

namespace flannel {

std::string utc_text(std::chrono::system_clock::time_point time) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(time);
  std::tm utc{};
  ::gmtime_r(&seconds, &utc);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", utc.tm_year + 1900, utc.tm_mon + 1,
                     utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

std::optional<std::chrono::system_clock::time_point> parse_utc_text(const std::string& text) {
  std::tm when{};
  const char* rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &when);
  if (rest != nullptr && *rest == '.') {
    rest += 1 + std::strspn(rest + 1, "0123456789");
  }
  std::tm zone{};
  rest = rest == nullptr ? nullptr : ::strptime(rest, "%z", &zone);  // `Z` too
  if (rest == nullptr || *rest != '\0') {
    return std::nullopt;
  }
  return std::chrono::system_clock::from_time_t(::timegm(&when) - zone.tm_gmtoff);
}

}  // namespace flannel

// A time of day in text.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace flannel {

// `2026-11-24T12:00:00Z`
std::string utc_text(std::chrono::system_clock::time_point time);

// RFC 3339: also with an offset from UTC and fractions of a second, which are left out.
std::optional<std::chrono::system_clock::time_point> parse_utc_text(const std::string& text);

}  // namespace flannel

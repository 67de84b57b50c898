// A time of day in text.
#pragma once

#include <chrono>
#include <string>

namespace flannel {

// `2026-11-24T12:00:00Z`
std::string utc_text(std::chrono::system_clock::time_point time);

}  // namespace flannel

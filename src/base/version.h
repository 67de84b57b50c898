// The version all our programs report.
#pragma once

#include <string_view>

namespace flannel {

inline constexpr std::string_view kVersion = FLANNEL_VERSION;

}  // namespace flannel

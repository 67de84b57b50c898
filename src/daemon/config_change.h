// What of a changed network configuration can be taken up while the daemon runs.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "network/network_config.h"

namespace flannel {

// The fields that differ and take a restart, each with the reason; none where all that differs can
// be taken up. `live_options` are the backend's (Traits).
std::vector<std::string> restart_reasons(const NetworkConfig& from, const NetworkConfig& to,
                                         std::span<const std::string_view> live_options);

}  // namespace flannel

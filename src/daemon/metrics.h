// What the daemon knows in numbers, for Prometheus.
#pragma once

#include <string>

#include "daemon/state.h"

namespace flannel {

// The text of GET /metrics; its metrics are described in docs/operating.md. Nothing is kept for
// it: each number is where the daemon itself has it, and those of devices and of the process are
// the kernel's.
std::string metrics_text(const DaemonState& state);

}  // namespace flannel

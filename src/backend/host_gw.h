// The host-gw backend: no tunnel; a peer's subnet is routed to the peer itself, which must be on
// the external interface's own link.
#pragma once

#include <memory>

#include "backend/backend.h"

namespace flannel {

// No options.
Result<std::unique_ptr<Backend>> make_host_gw(const NetworkConfig& network);

}  // namespace flannel

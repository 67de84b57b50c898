// The alloc backend: a lease and subnet.env, and nothing in the kernel. Somebody else moves the
// packets.
#pragma once

#include <memory>

#include "backend/backend.h"

namespace flannel {

// No options.
Result<std::unique_ptr<Backend>> make_alloc(const NetworkConfig& network);

}  // namespace flannel

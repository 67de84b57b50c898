// What this daemon may call its own in the kernel, derived from its configuration alone, so that
// a restarted daemon recognises what it left.
#pragma once

#include "backend/backend.h"
#include "kernel/ownership.h"

namespace flannel {

Scope make_scope(const NetworkConfig& network, const Backend& backend);

}  // namespace flannel

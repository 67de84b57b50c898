// Stands in for src/backend/backends.h where engine_test is built: one backend more.
#pragma once

#include "backend/alloc.h"
#include "test/daemon/with_relay/relay.h"

namespace flannel {

inline constexpr BackendEntry kBackends[] = {{"alloc", make_alloc}, {"relay", make_relay}};
inline constexpr std::string_view kPlannedBackends[] = {"udp"};

}  // namespace flannel

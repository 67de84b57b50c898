// How far each peer is in the kernel.
#pragma once

#include <string_view>
#include <vector>

#include "daemon/state.h"

namespace flannel {

struct PeerState {
  const Lease* peer = nullptr;
  ObjectState state = ObjectState::pending;
};

// Those that can be used, in the order of their keys. Skipped ones are not waited for: they are
// listed by themselves. The reconciler is there.
std::vector<PeerState> peer_states(const DaemonState& state);

// `ok`, `pending`, `failed`
std::string_view to_text(ObjectState state);

}  // namespace flannel

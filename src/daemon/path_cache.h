// The ways to the other nodes, asked of the kernel once and kept until something on the host says
// that they may be others: a pass with nothing new asks nothing.
#pragma once

#include <chrono>
#include <set>

#include "backend/backend.h"
#include "kernel/host_network.h"

namespace flannel {

class PathCache {
 public:
  using Clock = std::chrono::steady_clock;

  // The paths to the peers' public addresses, and no others.
  const Paths& paths_to(PeerList peers, HostNetwork& host, Clock::time_point now);
  // These as well.
  const Paths& paths_to_more(PeerList peers, HostNetwork& host);
  const Paths& known() const { return paths_; }

  // Invalidates what `changes` may have changed; true where that is anything.
  bool invalidate(const HostChanges& changes);

 private:
  void ask(const std::set<IpAddr>& wanted, HostNetwork& host);

  Paths paths_;
  Clock::time_point asked_{};
};

}  // namespace flannel

// What the daemon knows at any moment; what its status shows.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/host_watch.h"
#include "daemon/options.h"
#include "daemon/overlay.h"
#include "daemon/own_lease.h"
#include "daemon/peer_watch.h"
#include "daemon/planner.h"
#include "reconcile/reconciler.h"

namespace flannel {

// Filled from top to bottom as the daemon's steps succeed; what is not there yet is empty.
struct DaemonState {
  Options options;
  std::chrono::system_clock::time_point started = std::chrono::system_clock::now();
  std::vector<std::string> warnings;

  // What is being waited for, in one sentence; empty when nothing is.
  std::string reason = "starting";
  bool ready = false;
  bool told_systemd = false;  // READY=1

  std::string store_name;
  std::string store_trouble;  // why the store does not answer; empty when it does
  // Set while we go by the last known state, since the store was away at the start: of when it is.
  std::optional<std::chrono::system_clock::time_point> last_known_state_of;
  std::string last_known_state_trouble;  // why it cannot be written
  std::unique_ptr<Overlay> overlay;
  std::unique_ptr<HostWatch> host;
  std::unique_ptr<OwnLease> own;
  std::unique_ptr<PeerWatch> peer_watch;
  std::unique_ptr<Planner> planner;
  std::unique_ptr<Reconciler> reconciler;

  const ExternalInterface* external() const { return host ? host->external() : nullptr; }
  const Lease* lease() const { return own ? &own->get() : nullptr; }
  const Peers* peers() const { return peer_watch ? &peer_watch->peers() : nullptr; }
  // What an operator should know of the host, given the overlay.
  std::vector<std::string> host_warnings() const {
    return peers() ? overlay_warnings(peers()->host(), overlay->config, lease()->key)
                   : std::vector<std::string>();
  }
};

// What the node is not ready for yet, in one sentence.
std::string waiting_for(const DaemonState& state);

// The document of GET /status; its fields are described in docs/formats.md.
std::string status_json(const DaemonState& state);

// `2026-11-24T12:00:00Z`
std::string utc_text(std::chrono::system_clock::time_point time);

// The text of GET /plan: one line an op, empty where the kernel is as wanted.
std::string plan_text(const DaemonState& state);

}  // namespace flannel

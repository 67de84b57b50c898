// The parts of a daemon; its pages ask them what they show.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "backend/engine.h"
#include "base/recent.h"
#include "daemon/config_watch.h"
#include "daemon/fallback_state.h"
#include "daemon/host_watch.h"
#include "daemon/options.h"
#include "daemon/overlay.h"
#include "daemon/own_lease.h"
#include "daemon/peer_watch.h"
#include "daemon/planner.h"
#include "daemon/programming_time.h"
#include "daemon/state_writer.h"
#include "daemon/store_health.h"
#include "daemon/subnet_file.h"
#include "reconcile/reconciler.h"
#include "store/store.h"

namespace flannel {

// Filled from top to bottom as the daemon's steps succeed; what is not there yet is nullptr.
struct DaemonState {
  // `retries`: of subnet.env, where it cannot be written.
  DaemonState(const asio::any_io_executor& executor, Options options,
              std::unique_ptr<LeaseStore> lease_store, Backoff retries);

  const Options options;
  const std::chrono::system_clock::time_point started = std::chrono::system_clock::now();
  std::string no_status_socket;     // why there is none; empty where there is
  std::string no_bridge_netfilter;  // why it is not loaded

  // What a step waits for, in one sentence; empty when none does.
  std::string reason = "starting";
  bool ready = false;
  bool bootstrapped = false;  // systemd has READY=1, the log the text that others wait for

  const std::unique_ptr<LeaseStore> store;
  StoreHealth store_health;
  ProgrammingTime programming_time;
  mutable Recent<std::string> metrics;  // the page, which those who read it make
  FallbackState fallback;
  SubnetFile subnet_file;

  std::unique_ptr<Overlay> overlay;
  std::unique_ptr<HostWatch> host;
  std::unique_ptr<OwnLease> own;
  std::unique_ptr<PeerWatch> peer_watch;
  std::unique_ptr<ConfigWatch> config_watch;
  std::unique_ptr<StateWriter> writer;  // none where no state is kept
  std::unique_ptr<Planner> planner;
  std::unique_ptr<Reconciler> reconciler;
  // None where the backend has none. The last one, so that it ends before what it works with.
  std::unique_ptr<Engine> engine;

  // Of the parts above.
  const ExternalInterface* external() const { return host ? host->external() : nullptr; }
  const Lease* lease() const { return own ? &own->get() : nullptr; }
  const Peers* peers() const { return peer_watch ? &peer_watch->peers() : nullptr; }

  // Where the last known state is kept: nowhere with a local store, which is as near.
  std::optional<LastKnownStateFile> state_file() const;
  // What an operator should know of the host, given the overlay.
  std::vector<std::string> host_warnings() const;
  // Chains of others that may drop packets of pods, a sentence each. The kernel is asked.
  std::vector<std::string> forward_drops() const;
  // What the node is not ready for yet, or what goes wrong since, in one sentence; empty for
  // nothing.
  std::string waiting_for() const;
};

// The node is ready, and something of it is not as it should be: `state` of the status.
bool is_degraded(const DaemonState& state);

// What is not as it was asked for and does not make it degraded: `warnings` of the status.
std::vector<std::string> warnings(const DaemonState& state);

// The leases were listed, and their changes are told: `store.connected` of the status.
bool follows_leases(const DaemonState& state);

// The document of GET /status; its fields are described in docs/formats.md.
std::string status_json(const DaemonState& state);

// The text of GET /plan: one line an op, empty where the kernel is as wanted.
std::string plan_text(const DaemonState& state);

}  // namespace flannel

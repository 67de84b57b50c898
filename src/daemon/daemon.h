// flanneld: the steps that make this machine a node of the overlay, and the loops that keep it one.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/task.h"
#include "base/wake.h"
#include "daemon/options.h"
#include "daemon/own_lease.h"
#include "daemon/standing_warnings.h"
#include "daemon/state.h"
#include "daemon/store_health.h"
#include "daemon/subnet_file.h"
#include "kernel/kernel.h"
#include "network/peer_changes.h"
#include "store/last_known_state.h"
#include "store/store.h"

namespace flannel {

class Daemon {
 public:
  struct Timing {
    Reconciler::Timing reconciler;
    HostWatch::Timing host;
    // Between looks at something that is not there yet: as often as the reference.
    Backoff waits{std::chrono::milliseconds(100), std::chrono::milliseconds(1'000)};
    Backoff failures = Backoff();  // of the loops that need the kernel
    Backoff file_writes{std::chrono::milliseconds(100), std::chrono::milliseconds(30'000)};
    Departures::Timing departures;
    // From a change to the last known state's file: many changes are written together.
    std::chrono::milliseconds state_write_delay{2'000};
    // How long a clean end waits for that file.
    std::chrono::milliseconds last_write{5'000};
    OwnLease::Timing own_lease;
  };

  // `io` and `kernel` outlive this object.
  Daemon(asio::io_context& io, Options options, Kernel& kernel, std::unique_ptr<LeaseStore> store)
      : Daemon(io, std::move(options), kernel, std::move(store), Timing{}) {}
  Daemon(asio::io_context& io, Options options, Kernel& kernel, std::unique_ptr<LeaseStore> store,
         Timing timing);

  // Starts; `io.run()` then returns after stop() or a fatal error.
  void start();
  // Leaves the overlay as it is, in the kernel and in the store, and ends `io.run()`.
  void stop();
  // What `use` finds out about the store (StoreHealth::set).
  void store_state(StoreHealth::Use use, const std::string& trouble);
  // 1 after a fatal error, which has been logged.
  int exit_code() const { return exit_code_; }

  const DaemonState& state() const { return state_; }

 private:
  // The steps, in order.
  Task<void> run();
  void serve_pages();
  Task<void> read_network();
  Task<void> claim_devices();
  Task<void> choose_interface();
  // False where the last known state that the steps before went by is refused: they begin anew.
  Task<bool> acquire_lease();
  void start_loops();

  // The loops.
  Task<void> keep_last_known_state();

  void host_changed(const HostChanges& changes);
  void follow_host();
  void set_host_use(HostUse use);
  void set_announcement(const LeaseAttrs& attrs);
  Task<Result<std::string>> config_text();
  bool begin_last_known_state(const std::string& why);
  std::optional<Lease> last_known_lease(const LeaseAttrs& attrs);
  void own_lease(Lease lease);
  void start_from_last_known_state();
  void start_reconciling();
  Task<void> replace_last_known_state();
  void end_last_known_state();
  LastKnownState known_state(bool all) const;
  Task<Result<void>> write_unwritten() const;
  void write_last_known_state();
  void follow_peers();
  Task<void> first_list();
  void peers_changed(const PeersDelta& delta);
  void check_ready();
  void waiting_for(const std::string& reason);
  void spawn(Task<void> task);
  void fail_with(const std::string& text);
  std::string subnet_file_text() const;

  // Repeats `attempt` until it gives a value, saying once what is being waited for.
  template <class T>
  Task<T> wait_for(std::string what, std::function<Task<Result<T>>()> attempt);

  asio::io_context& io_;
  Kernel& kernel_;
  std::unique_ptr<LeaseStore> store_;
  DaemonState state_;
  const Timing timing_;
  StoreHealth store_health_;
  SubnetFile subnet_file_;
  std::optional<LastKnownStateFile> last_known_state_file_;  // none where there is to be none
  PeerChanges unwritten_;                                    // what the file does not have yet
  std::optional<asio::thread_pool> writer_;         // of that, so that no disk holds the loop up
  std::optional<LastKnownState> last_known_state_;  // while we go by it
  Wake last_known_state_stale_;
  StandingWarnings host_warnings_;
  bool reconciling_ = false;
  bool may_use_last_known_state_ = true;
  int exit_code_ = 0;
};

}  // namespace flannel

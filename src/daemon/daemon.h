// flanneld: the steps that make this machine a node of the overlay, and the loops that keep it one.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <string>

#include "base/task.h"
#include "daemon/standing_warnings.h"
#include "daemon/state.h"
#include "kernel/kernel.h"

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
    StateWriter::Timing state_writer;
    OwnLease::Timing own_lease;
  };

  // `io`, `kernel` and `host` outlive this object.
  Daemon(asio::io_context& io, Options options, Kernel& kernel, HostNetwork& host,
         std::unique_ptr<LeaseStore> store)
      : Daemon(io, std::move(options), kernel, host, std::move(store), Timing{}) {}
  Daemon(asio::io_context& io, Options options, Kernel& kernel, HostNetwork& host,
         std::unique_ptr<LeaseStore> store, Timing timing);

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
  void use_bridge_netfilter();
  Task<void> claim_devices();
  Task<void> choose_interface();
  Task<void> prepare_backend();
  // What follows from the network. False where that is another by now, or the last known state is
  // refused, by which we went: the steps begin anew.
  Task<bool> join_network();
  Task<bool> take_lease();
  Task<void> ask_iptables();
  void make_parts();  // parts.cc
  TrafficOptions traffic_options() const;
  void connect_parts();  // parts.cc
  void start_loops();

  Task<Result<Lease>> acquire_lease(const LeaseKey& previous);

  // Where parts report what concerns several others.
  Task<void> follow_store();
  void start_reconciling();
  Result<void> take_up_config(const std::string& text);
  void write_subnet_file();
  void check_ready();

  // wait_for(), with what it waits for as our reason.
  template <class T>
  Task<T> wait(std::string what, std::function<Task<Result<T>>()> attempt);
  void set_reason(const std::string& reason);
  void spawn(Task<void> task);
  void fail_with(const std::string& text);

  asio::io_context& io_;
  Kernel& kernel_;
  HostNetwork& host_;
  const Timing timing_;
  DaemonState state_;
  StandingWarnings host_warnings_;
  bool iptables_random_fully_ = true;  // the host's iptables takes --random-fully
  int exit_code_ = 0;
};

}  // namespace flannel

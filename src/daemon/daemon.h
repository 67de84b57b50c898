// flanneld: the steps that make this machine a node of the overlay, and the loops that keep it one.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/task.h"
#include "daemon/http_server.h"
#include "daemon/options.h"
#include "daemon/path_cache.h"
#include "daemon/state.h"
#include "kernel/kernel.h"
#include "store/store.h"

namespace flannel {

class Daemon {
 public:
  struct Timing {
    Reconciler::Timing reconciler;
    // One change of an interface rarely comes alone: what comes up gets its addresses after that.
    std::chrono::milliseconds host_settle{100};
    // On a busy node pods' interfaces come and go all the time, and mean nothing to us.
    std::chrono::milliseconds between_idle_looks{1'000};
    // Between looks at something that is not there yet: as often as the reference.
    Backoff waits{std::chrono::milliseconds(100), std::chrono::milliseconds(1'000)};
    Backoff failures = Backoff();  // of the loops
    Backoff renewals{std::chrono::milliseconds(1'000), std::chrono::milliseconds(60'000)};
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
  // What keeps the store's watch from it; empty when it is well again.
  void store_state(const std::string& trouble);
  // 1 after a fatal error, which has been logged.
  int exit_code() const { return exit_code_; }

  const DaemonState& state() const { return state_; }

 private:
  // The steps, in order.
  Task<void> run();
  void serve_pages();
  Task<void> read_network();
  Task<void> choose_external();
  Task<void> acquire_lease();
  void start_loops();

  // The loops.
  Task<void> watch_leases();
  Task<void> keep_lease();
  Task<void> keep_subnet_file();
  Task<void> follow_host();

  NetState plan(const Snapshot& kernel);
  LeaseAttrs announcement(const ExternalInterface& external);
  Result<ExternalInterface> find_external();
  Result<void> set_external(const ExternalInterface& external);
  void host_changed(const HostChanges& changes);
  bool look_at_host();
  bool empties_a_full_list(const LeaseUpdate& update);
  void check_own_entry();
  void check_ready();
  void waiting_for(const std::string& reason);
  void spawn(Task<void> task);
  void fail_with(const std::string& text);
  std::optional<HttpReply> health_page(std::string_view path) const;
  std::optional<HttpReply> status_page(std::string_view path);

  // Repeats `attempt` until it gives a value, saying once what is being waited for.
  template <class T>
  Task<T> wait_for(std::string what, std::function<Task<Result<T>>()> attempt);

  asio::io_context& io_;
  Kernel& kernel_;
  std::unique_ptr<LeaseStore> store_;
  DaemonState state_;
  const Timing timing_;
  std::optional<Scope> scope_;
  PathCache paths_;
  asio::steady_timer renew_timer_;
  asio::steady_timer host_timer_;
  asio::steady_timer subnet_file_timer_;
  bool synced_ = false;  // a complete list of peers has been seen
  bool confirming_empty_list_ = false;
  bool renew_now_ = false;
  bool host_changed_ = false;
  int exit_code_ = 0;
};

}  // namespace flannel

// One node in a world that does anything to it: the daemon in this process, the real kernel in a
// network namespace of its own, a store in memory or an API server of Kubernetes, peers that come,
// go and change. What happens is drawn from a seed.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/directory_fixture.h"
#include "daemon/daemon.h"
#include "kernel/host_kernel.h"
#include "test/support/faulty_kernel.h"
#include "test/world/world_store.h"

namespace flannel {

class World {
 public:
  // Needs root: moves this process to a new network namespace.
  explicit World(std::uint64_t seed);
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  // One thing happens; after it the daemon runs for a moment, if it does.
  void step();
  // Nothing happens for a while: everything that is away comes back. True once the kernel has what
  // the store's leases ask for, with no failure left.
  bool settles();
  // What the kernel should have, planned from the store as it is now, and what it has.
  NetState wanted();
  // Of a setting that need not have a certain value both have nothing.
  NetState present();
  // What is not ours, before and after.
  const std::string& foreign_before() const { return foreign_; }
  std::string foreign_now() const;

  // What happened so far, for a failed test's message.
  const std::string& story() const { return story_.text(); }

 private:
  struct Running {
    explicit Running(Kernel& kernel) : faulty(kernel) {}
    FaultyKernel faulty;
    asio::io_context io;
    std::optional<Daemon> daemon;
  };

  void make_host();
  void plant_foreign_objects();
  void plant_foreign_rules();
  std::uint32_t below(std::uint32_t bound) { return story_.below(bound); }
  void tell(const std::string& what) { story_.tell(what); }

  void choose_nexthops();
  // The tool for firewall rules, which a world has for good and `config` names, and which rules are
  // wanted.
  void choose_firewall(std::string& config);
  void choose_rules();
  std::chrono::milliseconds resync() const;
  static std::unique_ptr<HostKernel> kernel_with(std::unique_ptr<Part> firewall);
  void start_daemon();
  void end_daemon();
  void run_daemon(std::chrono::milliseconds time);

  void change_peer();
  void change_store();
  void change_daemon();
  void ask_for_plan();
  void change_kernel();
  void change_rules();
  void change_host();
  Lease make_peer(unsigned number);
  void vandalise(const Op& op);
  void add_beside(const Object& object);
  void replace_by_blackhole(const Route& route);
  // Lines of ip(8). Those that cannot be done, since something is not there just now, are left out.
  static void in_batch(const std::string& lines);
  void restore_host();

  Story story_;
  NetworkConfig network_;
  std::unique_ptr<Backend> backend_;
  Scope scope_;
  NexthopChoice nexthops_;
  Options options_;               // of the daemon that runs, or ran last
  std::string iptables_ = "nft";  // the kind of iptables that the host has
  bool named_interface_ = true;   // by --iface; else that of the default route
  bool host_changed_ = false;     // the underlay is not as it should be, or a route is in our way
  TestDirectory directory_;
  std::unique_ptr<WorldStore> store_;
  std::vector<std::optional<Lease>> peers_;
  std::unique_ptr<HostKernel> kernel_;  // the daemon's
  std::unique_ptr<HostKernel> vandal_;  // everybody else's
  std::unique_ptr<Running> running_;
  std::string foreign_;
};

}  // namespace flannel

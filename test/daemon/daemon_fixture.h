// A daemon in the test's process, on a kernel and a store in memory. A millisecond stands for
// seconds.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/directory_fixture.h"
#include "base/loop_fixture.h"
#include "daemon/daemon.h"
#include "network/lease_fixture.h"
#include "test/support/fake_kernel.h"
#include "test/support/fake_store.h"

namespace flannel {

// `TestKernel`: what the daemon takes for its host.
template <class TestKernel = FakeKernel>
class DaemonFixture : public testing::Test {
 protected:
  DaemonFixture() {
    using std::chrono::milliseconds;
    kernel.host_view.interfaces.push_back({"eth0", 2, 1500, true, {}});
    add_address("198.18.0.2", 16);
    store.config =
        R"({"Network":"10.5.0.0/16","SubnetMin":"10.5.128.0","Backend":{"Type":"vxlan"}})";
    options.subnet_file = directory.file("subnet.env");
    options.state_dir = "";
    options.iface = {"eth0"};
    timing.host = {.debounce = milliseconds(1), .most_charged = milliseconds(1)};
    timing.waits = Backoff(milliseconds(1), milliseconds(8));
    timing.failures = Backoff(milliseconds(1), milliseconds(8));
    timing.departures = {.grace = milliseconds(5), .unconfirmed = milliseconds(20)};
    timing.state_writer.delay = milliseconds(1);
    timing.state_writer.retries = Backoff(milliseconds(1), milliseconds(8));
    timing.own_lease.renewals = Backoff(milliseconds(1), milliseconds(8));
    timing.own_lease.between_writes = milliseconds(1);
  }

  void start() {
    running_ = std::make_unique<Running>();
    running_->daemon.emplace(running_->io, options, kernel, kernel, open_store(running_->io),
                             timing);
    daemon().start();
  }
  // Where the test's daemons keep their leases.
  virtual std::unique_ptr<LeaseStore> open_store(asio::io_context& io) {
    return store.open(io.get_executor());
  }
  // As a crash does: nothing is tidied up.
  void crash() { running_.reset(); }

  asio::io_context& io() { return running_->io; }
  Daemon& daemon() { return *running_->daemon; }
  const DaemonState& state() { return daemon().state(); }

  template <class Condition>
  bool run_until(Condition condition) {
    return flannel::run_until(io(), condition);
  }
  bool is_as_planned() {
    return state().ready && daemon().state().reconciler->preview().ops.empty();
  }

  void add_address(const std::string& ip, std::uint8_t bits) {
    kernel.host_view.interfaces.front().addresses.push_back({.prefix = {*IpAddr::parse(ip), bits}});
  }
  static Lease peer(unsigned i, const std::string& ip) {
    return vxlan_lease(fmt::format("10.5.{}.0-24", i), ip, Mac::local(i));
  }

  const TestDirectory directory;
  TestKernel kernel;
  FakeStore store;
  Options options;
  Daemon::Timing timing;

 private:
  struct Running {
    asio::io_context io;
    std::optional<Daemon> daemon;
  };
  std::unique_ptr<Running> running_;
};

}  // namespace flannel

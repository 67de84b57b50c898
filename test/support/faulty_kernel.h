// A kernel that fails as kernels do: operations it refuses, dumps that are interrupted,
// notifications that are lost; and a process that is killed in the midst of its work.
#pragma once

#include <cerrno>
#include <cstring>
#include <functional>
#include <limits>
#include <system_error>

#include "kernel/kernel.h"

namespace flannel {

class FaultyKernel : public Kernel {
 public:
  // `kernel` does what is not to fail, and outlives this object.
  explicit FaultyKernel(Kernel& kernel) : kernel_(kernel) {}

  // The errno with which the n-th operation from now fails; 0 for none.
  std::function<int(std::size_t n, const Op& op)> refuse;
  // So many operations are still done, then the process is gone: killed() is true, and whatever it
  // tries fails.
  std::size_t live_for = std::numeric_limits<std::size_t>::max();
  // So many dumps from now are interrupted.
  unsigned interrupted_dumps = 0;
  // The notifications pending at the next changes() are lost, as after an overrun.
  bool lose_notifications = false;

  bool killed() const { return live_for == 0; }
  std::size_t tried() const { return tried_; }

  Result<void> claim(const Scope& scope) override { return kernel_.claim(scope); }
  using Kernel::dump;
  void dump(const Scope& scope, KindSet kinds, Snapshot& snapshot) override {
    check_alive();
    if (interrupted_dumps > 0) {
      --interrupted_dumps;
      throw std::system_error(EINTR, std::generic_category(), "netlink: no complete list of links");
    }
    kernel_.dump(scope, kinds, snapshot);
  }

  std::vector<OpResult> apply(std::span<const Op> ops) override {
    std::vector<OpResult> results;
    for (const Op& op : ops) {
      check_alive();
      const std::size_t n = tried_++;
      const int error = refuse ? refuse(n, op) : 0;
      results.push_back(error != 0 ? OpResult{error, std::strerror(error)}
                                   : kernel_.apply({&op, 1}).front());
      --live_for;
    }
    return results;
  }

  int notify_fd() const override { return kernel_.notify_fd(); }
  std::vector<Audit> audits() const override { return kernel_.audits(); }
  Changes changes(const Scope& scope) override {
    Changes changes = kernel_.changes(scope);
    if (std::exchange(lose_notifications, false)) {
      changes.ours.clear();
      changes.dump_needed.set();
      changes.host = {.all = true, .links = {}, .routes = {}};
    }
    return changes;
  }

 private:
  void check_alive() const {
    if (killed()) {
      throw std::system_error(ESRCH, std::generic_category(), "this process was killed");
    }
  }

  Kernel& kernel_;
  std::size_t tried_ = 0;
};

}  // namespace flannel

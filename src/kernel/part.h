// One way to some kinds of kernel objects: rtnetlink, the files of /proc/sys, and what comes.
#pragma once

#include <chrono>
#include <optional>
#include <span>
#include <vector>

#include "kernel/kernel.h"

namespace flannel {

// What HostKernel is made of; its functions are Kernel's, for these kinds alone.
class Part {
 public:
  virtual ~Part() = default;

  virtual KindSet kinds() const = 0;

  // Lists its own of `kinds`, or more of them, and puts what is found in place of what `snapshot`
  // has of these. Kinds of parts before it are in `snapshot` as they are now or were last listed.
  virtual void dump(const Scope& scope, KindSet kinds, Snapshot& snapshot) = 0;
  // Ops of its kinds.
  virtual std::vector<OpResult> apply(std::span<const Op> ops) = 0;

  // Readable when changes() has something; -1 without notifications.
  virtual int notify_fd() const { return -1; }
  virtual void changes(const Scope&, Changes&) {}

  // How often its kinds are listed again, where that is another time than the reconciler's own; as
  // it is now, which may change with what is there.
  virtual std::optional<std::chrono::milliseconds> audit() const { return std::nullopt; }
};

}  // namespace flannel

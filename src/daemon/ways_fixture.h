// A kernel that has nothing, for tests of what asks it for ways alone.
#pragma once

#include "kernel/kernel.h"

namespace flannel {

class WaysKernel : public Kernel {
 public:
  Result<void> claim(const Scope&) override { return {}; }
  Snapshot dump(const Scope&) override { return {}; }
  std::vector<OpResult> apply(std::span<const Op>) override { return {}; }
  HostView host() override { return {}; }
  int notify_fd() const override { return -1; }
  Changes changes(const Scope&) override { return {}; }
};

}  // namespace flannel

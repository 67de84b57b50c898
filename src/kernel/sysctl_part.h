// Settings of our devices, by the files of /proc/sys.
#pragma once

#include "kernel/part.h"

namespace flannel {

// Those that we set (kernel/sysctl.h), of each device of ours. The kernel does not notify of
// their changes, so they are read every half a minute.
class SysctlPart : public Part {
 public:
  KindSet kinds() const override { return flannel::kinds<Sysctl>(); }
  void dump(const Scope& scope, KindSet kinds, Snapshot& snapshot) override;
  std::vector<OpResult> apply(std::span<const Op> ops) override;
  std::optional<std::chrono::milliseconds> audit() const override {
    return std::chrono::seconds(30);
  }
};

}  // namespace flannel

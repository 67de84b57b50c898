// The real kernel, in the network namespace of the thread that makes the object: a list of parts.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/file.h"
#include "kernel/device_claim.h"
#include "kernel/part.h"
#include "kernel/rtnetlink_part.h"

namespace flannel {

class HostKernel : public Kernel, public HostNetwork {
 public:
  // With `more` parts than those of all nodes; each kind is that of one part. In dependency order
  // of their kinds. Throws std::system_error.
  explicit HostKernel(std::vector<std::unique_ptr<Part>> more = {});

  Result<void> may_change() override;
  Result<void> claim(const Scope& scope) override;
  using Kernel::dump;
  void dump(const Scope& scope, KindSet kinds, Snapshot& snapshot) override;
  std::vector<OpResult> apply(std::span<const Op> ops) override;
  int notify_fd() const override { return epoll_.get(); }
  Changes changes(const Scope& scope) override;
  std::vector<Audit> audits() const override;

  HostView host() override { return rtnetlink_->host(); }
  std::vector<Path> paths(std::span<const IpAddr> to) override { return rtnetlink_->paths(to); }

 private:
  void add(std::unique_ptr<Part> part);
  Part& part_of(const Object& object);

  UniqueFd epoll_;  // of the parts' descriptors
  std::vector<std::unique_ptr<Part>> parts_;
  RtnetlinkPart* rtnetlink_;  // one of them
  DeviceClaim claim_;
};

}  // namespace flannel

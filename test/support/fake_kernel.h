// A kernel in memory, with the real one's rules as far as the reconciler meets them. The contract
// suite (kernel_contract_test.cc) runs the same cases on both, which keeps this one honest.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/file.h"
#include "kernel/kernel.h"

namespace flannel {

class FakeKernel : public Kernel, public HostNetwork {
 public:
  FakeKernel();

  Result<void> claim(const Scope&) override { return {}; }  // nobody shares it
  using Kernel::dump;
  void dump(const Scope& scope, KindSet kinds, Snapshot& snapshot) override;
  std::vector<OpResult> apply(std::span<const Op> ops) override;
  HostView host() override { return host_view; }
  int notify_fd() const override { return event_.get(); }
  Changes changes(const Scope& scope) override;

  // Somebody else's change, which is notified of like the real kernel does it.
  OpResult outside(const Op& op);
  std::vector<Path> paths(std::span<const IpAddr> to) override;

  // The host's interfaces; devices that links may lie on. An address is on the link of an interface
  // with its prefix, and else reached by way of `gateway`, if there is one.
  HostView host_view;
  std::optional<IpAddr> gateway;
  void change_host(const HostChanges& changes);

  // Everything there is, ours or not.
  NetState state;
  bool nexthops_supported = true;

  // Decides about an op before it is tried: an errno to fail with, or 0.
  std::function<int(const Op& op, std::size_t count)> fail;
  // Decides which ops are answered later, by answer(), which also tells what is there where one
  // failed.
  std::function<bool(const Op& op)> later;
  void answer();
  void lose_answers() { unanswered_.clear(); }
  // What Kernel::audits() says; where it is empty, what that says of itself.
  std::vector<Audit> audit_list;
  std::vector<Audit> audits() const override {
    return audit_list.empty() ? Kernel::audits() : audit_list;
  }
  // Called after each op of ours that went well.
  std::function<void(const Op& op)> after;
  // The next notifications are lost, as after an overrun.
  void lose_notifications();

  std::vector<Op> applied;  // ops of ours that went well, in order
  unsigned dumps = 0;
  KindSet listed_kinds;  // that were asked for

 private:
  struct Applier;

  OpResult try_op(const Op& op);

  Snapshot listed(const Scope& scope) const;
  bool has_device(const Dev& name) const;
  void remove_from(const Dev& dev, bool addresses);
  void notify(Change change);
  void signal();

  UniqueFd event_;
  Changes pending_;
  std::vector<Op> unanswered_;
  bool lost_ = false;
  std::size_t count_ = 0;  // of ops tried
};

}  // namespace flannel

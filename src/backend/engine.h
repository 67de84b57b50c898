// What a backend runs beside the kernel's state that it plans: programs, packet loops.
#pragma once

#include <functional>
#include <string>

#include "backend/backend.h"
#include "base/task.h"

namespace flannel {

// One a daemon, of a backend that needs one (Backend::engine). What has to end with the daemon, as
// threads and children, is a member: coroutines are taken down after their objects.
class Engine {
 public:
  // As they are at any moment.
  struct Inputs {
    const NetworkConfig& network;
    const ExternalInterface& external;
    const Lease& own;
    const Peers& peers;
  };

  virtual ~Engine() = default;

  // Before the node takes a lease: what Backend::announce() is given. Error: why not yet, in words
  // for an operator; it is called again. Throws Fatal where that would not help.
  virtual Task<Result<std::string>> prepare() { co_return std::string(); }

  // From when the peers are known, and again a while after it returned, or threw for what is a
  // trouble then. What there is already of an earlier run, or of another process, is for it to
  // find out. What `inputs` refers to outlives this object.
  virtual Task<void> run(Inputs inputs) = 0;

  // The inputs changed: these peers, or with `delta.all` the interface or our lease as well.
  // Between two runs it comes too.
  virtual void inputs_changed(const PeersDelta& delta) = 0;

  // What goes wrong, in one sentence; empty where nothing does.
  const std::string& trouble() const { return trouble_; }
  // It has been without trouble; the node is not ready before.
  bool has_worked() const { return has_worked_; }
  // From run(), as soon as it works too; what it throws comes from its caller.
  void set_trouble(const std::string& trouble);

  // One of the two above is another.
  std::function<void()> on_trouble;

 private:
  std::string trouble_ = "it has not begun";
  bool has_worked_ = false;
};

}  // namespace flannel

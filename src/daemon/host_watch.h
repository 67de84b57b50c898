// The interface that the traffic between nodes takes: chosen at the start, and anew whenever the
// host's interfaces, addresses or default routes change.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "base/task.h"
#include "base/wake.h"
#include "daemon/choose_interface.h"
#include "daemon/overlay.h"
#include "store/store.h"

namespace flannel {

class HostWatch {
 public:
  struct Timing {
    // One change of an interface rarely comes alone: what comes up gets its addresses after that.
    std::chrono::milliseconds debounce{100};
    // The most that a look at the host is charged (RateLimit): on a busy node pods' interfaces come
    // and go all the time.
    std::chrono::milliseconds most_charged{100};
  };

  // `kernel`, `host` and `overlay` outlive this object. Public addresses of `facts` go before those
  // of `options`.
  HostWatch(const asio::any_io_executor& executor, Kernel& kernel, HostNetwork& host,
            const Overlay& overlay, NodeFacts facts, InterfaceOptions options, Timing timing);

  // What the store knows of this node now. Another choice follows from it as from a change.
  void set_facts(NodeFacts facts);

  // The first choice. Error: why there is none now. Throws Fatal where the backend cannot use it.
  Result<void> choose();
  // What is in use; nullptr before the first choice.
  const ExternalInterface* external() const { return external_ ? &*external_ : nullptr; }
  // The MTU that pods can have over it, with the overlay as it is.
  std::uint32_t pod_mtu() const {
    return overlay_.backend->mtu(overlay_.config, *external_).value();
  }
  // Why none can be chosen any more, or why no packet leaves by the one that is chosen; empty where
  // neither is so. The last one stays in use.
  const std::string& trouble() const { return trouble_; }
  // What the other nodes are to know of us, which the kernel is asked for.
  LeaseAttrs announcement() const { return announcement(*external_); }
  // What the host uses of addresses. As choose(), this reads the notifications that are there: for
  // the start, until somebody else follows them.
  HostUse use() const;

  // Something changed that may lead to another choice.
  void changed() { changed_.set(); }
  // Looks at once, and then after each change, until cancelled. Throws where the host cannot be
  // read; the next run looks again.
  Task<void> run();

  // Before each look.
  std::function<void()> on_look;
  // What it found in use.
  std::function<void(HostUse use)> on_use;
  // A trouble began or ended.
  std::function<void()> on_trouble;
  // Another interface, address or MTU is in use from now on, and what the others are to know.
  std::function<void(const LeaseAttrs& attrs)> on_interface;

 private:
  HostView host_at_start() const;
  Result<ExternalInterface> find(const HostView& host) const;
  Result<void> use(const ExternalInterface& external);
  LeaseAttrs announcement(const ExternalInterface& external) const;
  void set_trouble(const std::string& trouble);
  void look();

  Kernel& kernel_;
  HostNetwork& host_;
  const Overlay& overlay_;
  const InterfaceOptions options_;
  NodeFacts facts_;
  const Timing timing_;
  Wake changed_;
  std::optional<ExternalInterface> external_;
  std::string trouble_;
};

}  // namespace flannel

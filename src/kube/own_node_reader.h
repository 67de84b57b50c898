// Our own Node, for the steps of a start, each of which is tried until it can use it.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "kube/node_api.h"
#include "kube/own_node.h"

namespace flannel {

// What one step has read serves the next. A Node that a step cannot use, or one that is not there,
// is refused, and is read again when a watch of it alone says that it has changed. The server is
// asked for nothing meanwhile, except once a minute, as a watch may be silent for another reason.
class OwnNodeReader {
 public:
  struct Reading {
    std::optional<NodeObject> node;   // nothing: there is none
    std::optional<NodeStream> watch;  // where it was one that told of the Node, it goes on
  };

  // While a change is waited for, `on_wait` is called each second. What it throws ends the wait.
  OwnNodeReader(std::shared_ptr<NodeApi> api, OwnNode& own, std::function<void()> on_wait)
      : api_(std::move(api)), own_(own), on_wait_(std::move(on_wait)) {}

  // The Node as it is now, whatever was read before. Throws as NodeApi::get() and
  // OwnNode::learn_name().
  Task<std::optional<NodeObject>> ask();
  // The Node that a step is tried with: the one that was kept, what the one that was refused has
  // become, or as it is now. Throws as ask(), NodeStream::read() and `on_wait`; the next call asks
  // then, as it does where a step neither kept nor refused what it got.
  Task<Reading> next();
  // The next call of next() gives it again.
  void keep(std::optional<NodeObject> node) { last_ = Kept{std::move(node)}; }
  // The next call of next() waits until the Node is another.
  void refuse(Reading reading);

 private:
  struct Kept {
    std::optional<NodeObject> node;
  };
  struct Refused {
    std::string version;  // empty: there was none
    std::optional<NodeStream> watch;
  };

  using Last = std::variant<std::monostate, Kept, Refused>;

  Task<Reading> changed(Refused refused);

  std::shared_ptr<NodeApi> api_;
  OwnNode& own_;
  std::function<void()> on_wait_;
  Last last_;
};

}  // namespace flannel

// What this process has written, or is writing, to its own Node's annotations.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/task.h"
#include "kube/node_object.h"
#include "network/lease.h"

namespace flannel {

// Versions are numbers that grow (k8s.io/apimachinery, resourceversion); of others nothing is
// known.
bool is_older_version(std::string_view a, std::string_view b);

// The store's calls record here what they write; its watches ask here what a Node means. The answer
// to a write may come after the watch has delivered the change, or never, and a watch may be behind
// what is written already.
class OwnNode {
 public:
  // Where `name` is empty, `find` says it; it throws where it cannot be told now.
  using Find = std::function<Task<std::string>()>;
  explicit OwnNode(std::string name, Find find = {})
      : name_(std::move(name)), find_(std::move(find)) {}

  // name() is there from then on. Throws as `find`.
  Task<void> learn_name();
  const std::string& name() const { return name_; }

  // `attrs` are under way from now on. Where no answer comes it stays so: they may be there.
  void begin(LeaseAttrs attrs) { under_way_ = std::move(attrs); }
  // `attrs` are there, as `node` says.
  void done(LeaseAttrs attrs, const NodeObject& node);
  // The versions that come are of another history than those written: etcd was restored.
  void count_anew();

  // What our Node means, as a watch has it; and that there is none as of `version`. Nothing before
  // the first write has begun, and where the last one is newer.
  std::optional<OwnEntry> classify(const NodeObject& node) const;
  std::optional<OwnEntry> classify_gone(const std::string& version) const;

 private:
  struct Written {
    LeaseAttrs attrs;
    std::string uid, version;
  };

  bool is_news(const std::string& version) const;

  std::string name_;
  Find find_;
  std::optional<Written> written_;
  std::optional<LeaseAttrs> under_way_;
};

}  // namespace flannel

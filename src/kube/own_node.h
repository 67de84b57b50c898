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

// Whether `a` is the older one of two resource versions: these are numbers that grow
// (k8s.io/apimachinery, resourceversion). False where one of them is none.
bool is_older_version(std::string_view a, std::string_view b);

// The store's calls record here what they write; its watches ask here what a Node means. The answer
// to a write may come after the watch has delivered the change, or never, and a watch may be behind
// what is written already.
class OwnNode {
 public:
  // An empty `name` is one that `find` is to tell, which throws where it cannot now.
  using Find = std::function<Task<std::string>()>;
  explicit OwnNode(std::string name, Find find = {})
      : name_(std::move(name)), find_(std::move(find)) {}

  // name() is there from then on. Throws as `find`.
  Task<void> learn_name();
  const std::string& name() const { return name_; }

  // `attrs` are being written from now on; also where no answer comes, as they may be there then.
  void begin(LeaseAttrs attrs) { under_way_ = std::move(attrs); }
  // The server's answer, or what it had before, is `node`, whose annotations say `attrs`.
  void done(LeaseAttrs attrs, const NodeObject& node);
  // Versions that come from now on are not comparable with those from before: etcd was restored.
  void count_anew();

  // What it means for us that a watch has `node`, or that it has none as of `version`. Nothing
  // before our first write has begun, and where our last write is newer.
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

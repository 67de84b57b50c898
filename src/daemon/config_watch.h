// The network configuration in the store, from when the daemon has taken one up.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "base/rate_limit.h"
#include "base/result.h"
#include "base/task.h"
#include "store/store.h"

namespace flannel {

class ConfigWatch {
 public:
  // `taken_up`: the one that is used. `store` outlives this object.
  ConfigWatch(LeaseStore& store, std::string taken_up);

  // Follows the store until cancelled; throws where it cannot be reached. To be run again then.
  Task<void> follow();
  // The store has this one. Error: why it has none.
  void look(const Result<std::string>& text);

  // Takes up another one. Error: why it cannot be used, or takes a restart; all is as before then.
  std::function<Result<void>(const std::string& text)> on_change;
  // Why the one that is used is not the store's; empty where it is.
  const std::string& trouble() const { return trouble_; }

 private:
  LeaseStore& store_;
  std::optional<std::string> seen_;  // nothing: none could be read
  std::string trouble_;
  // Somebody's loop that writes one after the other is not to be followed by each log of each node.
  RateLimit limit_{std::chrono::seconds(10)};
};

}  // namespace flannel

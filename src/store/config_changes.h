// From a store's watch, which finds that the network configuration may be another, to who waits for
// another.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <optional>
#include <string>

#include "base/wake.h"
#include "store/store.h"

namespace flannel {

// What is said of a store that has no network configuration any more.
Result<std::string> no_config(const LeaseStore& store);

class ConfigChanges {
 public:
  explicit ConfigChanges(const asio::any_io_executor& executor) : changed_(executor) {}

  // It may be another than was read.
  void set() { changed_.set(); }
  // `store`'s LeaseStore::next_config().
  Task<Result<std::string>> next(LeaseStore& store, std::optional<std::string> last);

 private:
  Wake changed_;
};

}  // namespace flannel

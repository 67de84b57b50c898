// The key of the network configuration in etcd, which is watched beside the leases.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <string>

#include "store/config_changes.h"

namespace flannel {

// A store's reads of the key are recorded here; its watches ask here from where to follow it, and
// tell what they find.
class ConfigKey {
 public:
  explicit ConfigKey(const asio::any_io_executor& executor) : changes_(executor) {}

  ConfigChanges& changes() { return changes_; }
  // It was read as of `revision`.
  void read(std::int64_t revision);
  // The revision from which on to watch it in a store that is at `revision`. The first watch goes
  // on from what was read, which costs no call; any other one finds a history that may be another,
  // or compacted, so the key is to be read again.
  std::int64_t watch_from(std::int64_t revision);
  void changed() { changes_.set(); }
  // It cannot be watched, for `reason`: said once.
  void refused(const std::string& reason);

 private:
  ConfigChanges changes_;
  std::int64_t next_revision_ = 0;  // the first that was not read; 0: it was not read
  bool watched_ = false;
  bool refused_ = false;
};

}  // namespace flannel

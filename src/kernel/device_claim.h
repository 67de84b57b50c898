// Devices that belong to one daemon of a network namespace at a time.
#pragma once

#include <map>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "kernel/net_state.h"

namespace flannel {

// The claim on a name is a unix socket bound to the abstract address `flannel-device-NAME`. Such
// addresses are per network namespace, as devices are, and go with the process however it ends
// (unix(7)), so that no claim outlives its daemon and none needs a file that daemons share.
class DeviceClaim {
 public:
  // From now on exactly `names` are claimed; those that are already stay so without a gap. Error:
  // which one another daemon has, or the system's reason; then nothing is claimed any more.
  Result<void> hold(const std::vector<Dev>& names);

 private:
  std::map<Dev, UniqueFd> held_;
};

}  // namespace flannel

// Devices that belong to one daemon of a network namespace at a time.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "kernel/net_state.h"

namespace flannel {

// The claim on a device is a unix socket bound to an abstract address that names it, its network
// and the process. Such addresses are per network namespace, as devices are, and go with the
// process however it ends (unix(7)), so that no claim outlives its daemon and none needs a file
// that daemons share.
//
// Anybody may bind any such address. So a part of each is drawn at random, that nobody can have
// taken it before; and whether somebody else claims the device is asked of the kernel
// (sock_diag(7)), which tells each socket's user: only claims of root and of our own user count.
class DeviceClaim {
 public:
  // From now on exactly `names` are claimed, for `network`; those that are already, for this
  // network, stay so without a gap. Error: which one another daemon has, for which network, and its
  // process where that is of our pid namespace; or the system's reason; then nothing is claimed any
  // more. Two that ask at the same moment may both be refused, and ask again.
  Result<void> hold(const std::vector<Dev>& names, std::string_view network);

 private:
  struct Held {
    std::string network;
    UniqueFd socket;
  };
  std::map<Dev, Held> held_;
};

}  // namespace flannel

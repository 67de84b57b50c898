// Files that belong to one flanneld at a time.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/file.h"

namespace flannel {

// Makes `path` ours as long as the descriptor is open, by a lock (flock(2)) on `path`.lock, which
// the kernel lets go however the process ends; the lock's file stays, and has our process id. A
// daemon that is just ending is waited for, a second at most. Throws Fatal, which names path and
// process, where another one has it. Where there can be no lock (a read-only file system), a
// warning, and nothing.
UniqueFd claim_file(const std::string& path);

// The same, but waits for as long as another one has it: which, is a warning. `goes_on` is called
// once a second meanwhile; nothing where it returns false.
std::optional<UniqueFd> wait_for_file(const std::string& path,
                                      const std::function<bool()>& goes_on);

}  // namespace flannel

#include "store/config_key.h"

#include <utility>

#include "base/log.h"

namespace flannel {

void ConfigKey::read(std::int64_t revision) {
  if (!watched_) {
    next_revision_ = revision + 1;
  }
}

std::int64_t ConfigKey::watch_from(std::int64_t revision) {
  // Where the store is not even there, it is another one since.
  const bool goes_on = next_revision_ != 0 && next_revision_ <= revision + 1;
  if (!std::exchange(watched_, true) && goes_on) {
    return next_revision_;
  }
  changed();
  return revision + 1;
}

void ConfigKey::refused(const std::string& reason) {
  if (!std::exchange(refused_, true)) {
    log_warning("etcd does not tell of changes of the network configuration: {}", reason);
  }
}

}  // namespace flannel

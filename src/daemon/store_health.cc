#include "daemon/store_health.h"

#include "base/log.h"

namespace flannel {

bool StoreHealth::set(Use use, const std::string& trouble) {
  const bool was_well = troubles_.empty();
  const bool is_over = trouble.empty() && troubles_.erase(use) > 0;
  if (!trouble.empty()) {
    troubles_[use] = trouble;
  }
  if (was_well != troubles_.empty()) {
    log_trouble(was_well, fmt::format("{}: {}", name_, was_well ? trouble : "well again"));
  }
  return is_over;
}

}  // namespace flannel

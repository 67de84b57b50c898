#include "kernel/sysctl.h"

#include <fmt/format.h>

namespace flannel {

std::string Sysctl::text() const {
  return fmt::format("sysctl net/ipv6/conf/{}/{}={}", key.dev.text(), key.name, value);
}

}  // namespace flannel

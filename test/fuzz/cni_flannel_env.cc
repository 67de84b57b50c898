// Fuzzes subnet.env as the CNI plugin reads it: any bytes give values or an error, never a crash.
#include <cstdint>
#include <string_view>

#include "cni/flannel/flannel_env.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  (void)flannel::cni::parse_flannel_env({reinterpret_cast<const char*>(data), size}, "subnet.env");
  return 0;
}

// Fuzzes subnet.env: any bytes give a value or an error, never a crash.
#include "network/subnet_env.h"

#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)flannel::parse_subnet_env(text).key();
  return 0;
}

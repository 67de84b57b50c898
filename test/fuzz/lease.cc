// Fuzzes lease keys and values: what is accepted must survive being written and read again: any
// bytes give a value or an error, never a crash.
#include "network/lease.h"

#include <cstdint>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto attrs = flannel::parse_lease_attrs(text)) {
    if (flannel::parse_lease_attrs(to_json(*attrs)) != attrs) {
      __builtin_trap();
    }
  }
  if (const auto key = flannel::parse_lease_key(text)) {
    if (flannel::parse_lease_key(to_text(*key)) != key) {
      __builtin_trap();
    }
  }
  return 0;
}

// Fuzzes CNI_ARGS: any text gives values or an error, never a crash.
#include <cstdint>
#include <string_view>

#include "cni/protocol/error.h"
#include "cni/protocol/request.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    (void)flannel::cni::parse_args({reinterpret_cast<const char*>(data), size}, {"IP", "MAC"});
  } catch (const flannel::cni::CniError&) {
  }
  return 0;
}

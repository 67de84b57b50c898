// Fuzzes results of other plugins, `prevResult`: any bytes give a result or an error, never a
// crash; a result that was read is printed in every version and read again as the same.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "cni/protocol/error.h"
#include "cni/protocol/request.h"
#include "cni/protocol/result.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flannel::cni;
  AddResult result;
  try {
    result = parse_result(parse_json_object({reinterpret_cast<const char*>(data), size}, "result"),
                          "1.0.0");
  } catch (const CniError&) {
    return 0;
  }
  for (const std::string_view version : kVersions) {
    const AddResult again = parse_result(to_json(result, version), version);
    if (to_json(again, version) != to_json(result, version)) {
      std::abort();
    }
  }
  return 0;
}

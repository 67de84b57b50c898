// Fuzzes what the API server says no with: any bytes give an error in printable words.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "base/printable.h"
#include "kube/api_error.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace flannel;
  const std::string_view body(reinterpret_cast<const char*>(data), size);
  for (const std::string& text : {std::string(body), "k8s" + std::string(1, '\0').append(body)}) {
    const ApiError error = make_api_error("GET /", 403, text);
    const std::string_view said = error.what();
    if (said != printable(said, said.size()) || error.reason != printable(error.reason)) {
      std::abort();
    }
  }
  return 0;
}

// The status document as text for people.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace flannel {

// `json` is GET /status (docs/formats.md); fields that are missing are left out. At most
// `most_peers` peers are listed. Error: it is not a JSON object.
Result<std::string> status_page(std::string_view json, std::size_t most_peers);

}  // namespace flannel

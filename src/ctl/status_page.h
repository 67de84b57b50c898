// The status document as text for people.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace flannel {

// What a lab waits for.
struct StatusSummary {
  bool ready = false;
  unsigned good_peers = 0;  // whose state is "ok"
};
Result<StatusSummary> summarize_status(std::string_view json);

// `json` is GET /status (docs/formats.md); fields that are missing are left out. At most
// `most_peers` peers are listed. Error: it is not a JSON object.
Result<std::string> status_page(std::string_view json, std::size_t most_peers);

}  // namespace flannel

// The status document as text for people.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace flannel {

struct StatusSummary {
  std::string state;           // `waiting`, `ready`, `degraded`
  bool has_converged = false;  // a pass over everything was made since the start
  bool is_well = false;        // ready, nothing is not as wanted, every peer is programmed
  unsigned peers = 0;
  unsigned good_peers = 0;  // whose state is "ok"
  std::string trouble;      // what is waited for, else the first thing that is not as wanted
};
Result<StatusSummary> summarize_status(std::string_view json);

// `json` is GET /status (docs/formats.md); fields that are missing are left out, texts
// are printable. At most `most_peers` peers are listed. Error: it is not a JSON object.
Result<std::string> status_page(std::string_view json, std::size_t most_peers);

}  // namespace flannel

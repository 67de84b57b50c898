// JSON that people write: where it is none, the error says at which place.
#pragma once

#include <boost/json/value.hpp>
#include <string_view>

#include "base/result.h"

namespace flannel {

// Error, with `what` for the document's name:
// `network configuration is not JSON: syntax error at line 2, column 7: "} }"`.
Result<boost::json::value> parse_json(std::string_view text, std::string_view what);

}  // namespace flannel

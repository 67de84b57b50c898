// YAML that people and programs write, as JSON.
#pragma once

#include <boost/json/value.hpp>
#include <string_view>

#include "base/result.h"

namespace flannel {

// The document, without types: a scalar is a string, but null where it says so without quotes
// (`~`, `null`, nothing). A later duplicate of a key wins. JSON is YAML too. What gets large by its
// aliases is refused. Error: what is wrong and where: `line 3, column 5: did not find expected
// key`.
Result<boost::json::value> parse_yaml(std::string_view text);

}  // namespace flannel

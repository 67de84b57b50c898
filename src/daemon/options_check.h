// What flags and variables say together: values that no flag can refuse by itself.
#pragma once

#include <functional>
#include <string>

#include "daemon/options.h"

namespace flannel {

// Adds an error, a line each, for what cannot be meant, and a warning for what is passed over.
// `variable` as parse_options() has it.
void check_options(ParsedOptions& parsed,
                   const std::function<std::string(const std::string&)>& variable);

}  // namespace flannel

// What flags and variables say together: values that no flag can refuse by itself.
#pragma once

#include "daemon/options.h"

namespace flannel {

// Adds an error, a line each, for what cannot be meant, and a warning for what is passed over.
void check_options(ParsedOptions& parsed);

}  // namespace flannel

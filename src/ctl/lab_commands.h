// `flannelctl lab …`
#pragma once

#include <span>
#include <string>

namespace flannel {

// `arguments` begin behind `lab`. Returns the exit code.
int run_lab(std::span<const std::string> arguments);

std::string lab_usage();

}  // namespace flannel

// What the names of our annotations begin with.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace flannel {

// From --kube-annotation-prefix, `flannel.alpha.coreos.com/` for one: with a slash, or behind that
// with a dash, at its end, one of which is added where it is missing. Error: as the reference's.
Result<std::string> parse_annotation_prefix(std::string_view text);

}  // namespace flannel

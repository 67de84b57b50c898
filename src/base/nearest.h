// What was probably meant by a word that is not known.
#pragma once

#include <span>
#include <string_view>

namespace flannel {

// The one of `known` that `word` is the beginning of; else the one it is nearest to, within a third
// of its letters missing, wrong, superfluous or changed about; empty for none.
std::string_view nearest(std::string_view word, std::span<const std::string_view> known);

}  // namespace flannel

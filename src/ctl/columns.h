// Text in columns.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace flannel {

// A line a row: each column as wide as its longest cell, two blanks between, none at the end.
// `indent` stands in front of each line.
std::string in_columns(const std::vector<std::vector<std::string>>& rows,
                       std::string_view indent = "");

// How many characters of UTF-8: `…` is one.
std::size_t width(std::string_view text);

}  // namespace flannel

// Errors of pure code: a value that says which thing was wrong and what it was.
#pragma once

#include <fmt/core.h>

#include <expected>
#include <string>
#include <utility>

namespace flannel {

// One sentence for a person, naming the thing and the value:
// `Network "10.1.0.0/40": prefix length over 32`.
struct Error {
  std::string text;
  bool operator==(const Error&) const = default;
};

// What parsers and planners return. I/O that breaks throws std::system_error or
// std::runtime_error instead; see docs/design.md, "Errors".
template <class T>
using Result = std::expected<T, Error>;

// `return fail("VNI {}: over 16777215", vni);`
template <class... Args>
std::unexpected<Error> fail(fmt::format_string<Args...> format, Args&&... args) {
  return std::unexpected(Error{fmt::format(format, std::forward<Args>(args)...)});
}

}  // namespace flannel

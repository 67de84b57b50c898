// Several results of which each may be an error.
#pragma once

#include "base/result.h"

namespace flannel {

// The first error among them; nullptr where there is none.
// `if (const Error* error = first_error(v4, v6)) { return std::unexpected(*error); }`
template <class... T>
const Error* first_error(const Result<T>&... results) {
  const Error* first = nullptr;
  ((first = first != nullptr || results ? first : &results.error()), ...);
  return first;
}

}  // namespace flannel

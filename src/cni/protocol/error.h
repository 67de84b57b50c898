// What a CNI plugin answers when it cannot do what was asked.
#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace flannel::cni {

// The codes of the CNI specification, "Error", and containernetworking's for everything else.
enum class Code : unsigned {
  incompatible_version = 1,
  unknown_container = 3,
  invalid_environment = 4,
  io_failure = 5,
  decoding_failure = 6,
  invalid_config = 7,
  invalid_netns = 8,
  try_again_later = 11,
  not_available = 50,
  internal = 999,
};

// Thrown wherever an operation cannot go on: what it had made by then is undone on the way up, and
// main() prints it.
class CniError : public std::runtime_error {
 public:
  CniError(unsigned code, const std::string& message, std::string details = {})
      : std::runtime_error(message), code_(code), details_(std::move(details)) {}
  CniError(Code code, const std::string& message, std::string details = {})
      : CniError(static_cast<unsigned>(code), message, std::move(details)) {}

  unsigned code() const { return code_; }
  const std::string& details() const { return details_; }

 private:
  unsigned code_;  // a delegate's may be one that we do not know
  std::string details_;
};

// An exception as the answer that it means: CniError as it is, what stopped a program by its kind,
// anything else as internal.
CniError to_cni_error(const std::exception& error);

// `throw_error(Code::io_failure, "cannot open {}", path);`
template <class... Args>
[[noreturn]] void throw_error(Code code, fmt::format_string<Args...> format, Args&&... args) {
  throw CniError(code, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace flannel::cni

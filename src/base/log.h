// The log: klog's line format on stderr, which is what flannel's users grep.
//
//   I1123 12:07:07.744315    9700 daemon.cc:228] Wrote subnet file to /run/flannel/subnet.env
#pragma once

#include <fmt/core.h>

#include <source_location>
#include <string_view>
#include <utility>

namespace flannel {

enum class Severity { info, warning, error };

// Sets klog's -v level: log_verbose(n, …) is printed when n is not above it. Default 0.
void set_log_verbosity(int level);
int log_verbosity();

// Writes one line: control characters inside `text` are escaped (printable.h), so that one event
// stays one line whoever wrote what it quotes.
void log_line(Severity severity, std::string_view text, const std::source_location& where);

// Writes the line that a trouble is there, a warning, or that it has ended, which is none.
inline void log_trouble(bool is_there, std::string_view text,
                        const std::source_location& where = std::source_location::current()) {
  log_line(is_there ? Severity::warning : Severity::info, text, where);
}

namespace detail {
// A format string that remembers where it was written.
template <class... Args>
struct LogFormat {
  fmt::format_string<Args...> format;
  std::source_location where;

  template <class S>
  consteval explicit(false)
      LogFormat(const S& text, std::source_location at = std::source_location::current())
      : format(text), where(at) {}
};
}  // namespace detail

template <class... Args>
void log_info(detail::LogFormat<std::type_identity_t<Args>...> message, Args&&... args) {
  log_line(Severity::info, fmt::format(message.format, std::forward<Args>(args)...), message.where);
}
template <class... Args>
void log_warning(detail::LogFormat<std::type_identity_t<Args>...> message, Args&&... args) {
  log_line(Severity::warning, fmt::format(message.format, std::forward<Args>(args)...),
           message.where);
}
template <class... Args>
void log_error(detail::LogFormat<std::type_identity_t<Args>...> message, Args&&... args) {
  log_line(Severity::error, fmt::format(message.format, std::forward<Args>(args)...),
           message.where);
}
template <class... Args>
void log_verbose(int level, detail::LogFormat<std::type_identity_t<Args>...> message,
                 Args&&... args) {
  if (level <= log_verbosity()) {
    log_line(Severity::info, fmt::format(message.format, std::forward<Args>(args)...),
             message.where);
  }
}

}  // namespace flannel

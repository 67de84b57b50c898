#include "base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <string>

#include "base/printable.h"

namespace flannel {
namespace {

int verbosity = 0;

spdlog::logger& logger() {
  static const std::shared_ptr<spdlog::logger> instance = [] {
    auto out =
        std::make_shared<spdlog::logger>("", std::make_shared<spdlog::sinks::stderr_sink_st>());
    out->set_pattern("%L%m%d %H:%M:%S.%f %7P %s:%#] %v");
    return out;
  }();
  return *instance;
}

spdlog::level::level_enum level_of(Severity severity) {
  switch (severity) {
    case Severity::info:
      return spdlog::level::info;
    case Severity::warning:
      return spdlog::level::warn;
    case Severity::error:
      break;
  }
  return spdlog::level::err;
}

// A line is whole sentences; what is quoted in them is cut where it is quoted.
constexpr std::size_t kLineMost = 4000;

}  // namespace

void set_log_verbosity(int level) {
  verbosity = level;
}

int log_verbosity() {
  return verbosity;
}

void log_line(Severity severity, std::string_view text, const std::source_location& where) {
  const spdlog::source_loc location(where.file_name(), static_cast<int>(where.line()),
                                    where.function_name());
  logger().log(location, level_of(severity), printable(text, kLineMost));
}

}  // namespace flannel

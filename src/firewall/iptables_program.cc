#include "firewall/iptables_program.h"

#include <chrono>
#include <cstdlib>
#include <optional>

namespace flannel {

std::string program_folders() {
  const char* path = std::getenv("PATH");
  return std::string(path == nullptr ? "" : path) +
         ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
}

Program::Command iptables_version_command(Family family) {
  const Result<std::string> path = iptables_program(family, "");
  if (!path) {
    throw ProcessError(ProcessError::Kind::not_started, path.error().text);
  }
  return {.path = *path,
          .arguments = {"--version"},
          .input = {},
          .variables = {},
          .limits = {.time = std::chrono::seconds(5)}};
}

Result<std::string> iptables_program(Family family, std::string_view suffix) {
  const std::string name =
      fmt::format("{}{}", family == Family::v4 ? "iptables" : "ip6tables", suffix);
  const std::optional<std::string> path = find_program(name, program_folders());
  if (!path) {
    return fail("failed to locate {}: install iptables", name);
  }
  return *path;
}

}  // namespace flannel

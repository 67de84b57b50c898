#include "daemon/bridge_netfilter.h"

#include <fmt/format.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string_view>

#include "base/file.h"
#include "base/printable.h"
#include "firewall/iptables_program.h"
#include "process/process.h"

namespace flannel {
namespace {

constexpr const char* kModule = "br_netfilter";
constexpr ProcessLimits kLimits{.time = std::chrono::seconds(5)};
constexpr std::string_view kConsequence =
    "a pod may get no answer from a Service whose pod is on its own node";

std::string_view setting(Family family) {
  return family == Family::v4 ? "bridge-nf-call-iptables" : "bridge-nf-call-ip6tables";
}

}  // namespace

Result<void> load_bridge_netfilter(const std::string& folder) {
  if (std::filesystem::exists(folder)) {
    return {};
  }
  const std::optional<std::string> modprobe = find_program("modprobe", program_folders());
  if (!modprobe) {
    return fail("there is no modprobe here");
  }
  try {
    const ProcessOutput output = run_process(*modprobe, {kModule}, "", {}, kLimits);
    const std::string line = output.err.substr(0, output.err.find('\n'));
    return output.status == 0 ? Result<void>()
                              : fail("modprobe: {}", printable(line, kSentenceMost));
  } catch (const ProcessError& error) {
    return fail("{}", error.what());
  }
}

std::vector<std::string> bridge_netfilter_warnings(const NetworkConfig& config,
                                                   const std::string& not_loaded,
                                                   const std::string& folder) {
  std::vector<std::string> warnings;
  if (config.nftables) {
    return warnings;
  }
  if (!std::filesystem::exists(folder)) {
    return {fmt::format(
        "the kernel's module {0} is not loaded{1}: {2}; `modprobe {0}` on the host "
        "mends it",
        kModule, not_loaded.empty() ? "" : fmt::format(" ({})", not_loaded), kConsequence)};
  }
  for (const Family family : kFamilies) {
    const Result<std::string> value = read_file(fmt::format("{}/{}", folder, setting(family)));
    if (config.family(family) && value && value->starts_with('0')) {
      warnings.push_back(fmt::format("net.bridge.{0} is 0: {1}; `sysctl net.bridge.{0}=1` mends it",
                                     setting(family), kConsequence));
    }
  }
  return warnings;
}

}  // namespace flannel

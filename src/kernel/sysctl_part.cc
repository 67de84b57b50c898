#include "kernel/sysctl_part.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>

#include "base/file.h"

namespace flannel {
namespace {

const std::string kFolder = "/proc/sys/net/ipv6/conf/";

std::string path_of(const Sysctl& setting) {
  return fmt::format("{}{}/{}", kFolder, setting.key.dev.text(), setting.key.name);
}

// Of a device without IPv6, which has no settings (ipv6.disable=1, an MTU under 1,280), what that
// amounts to.
std::string value_of(const Sysctl& setting) {
  const Result<std::string> text = read_file(path_of(setting));
  return text ? text->substr(0, text->find('\n')) : setting.key.name == kDisableIpv6 ? "1" : "0";
}

// What it fails with counts unless the setting is as wanted all the same.
OpResult write_setting(const Sysctl& setting) {
  const UniqueFd file(::open(path_of(setting).c_str(), O_WRONLY | O_CLOEXEC));
  if (file && ::write(file.get(), setting.value.data(), setting.value.size()) >= 0) {
    return {};
  }
  const int reason = errno;
  if (value_of(setting) == setting.value) {
    return {};
  }
  return {reason,
          fmt::format(
              "net.ipv6.conf.{}.{} cannot be set to {}: {}{}", setting.key.dev.text(),
              setting.key.name, setting.value, std::strerror(reason),
              is_fixed(reason) ? fmt::format("; `{}` on the host mends it", setting.text()) : "")};
}

// They are all of one kind: a folder of one mount, written with the rights that one has in the
// network namespace (net/sysctl_net.c).
std::optional<FixedSettings> find_fixed_settings() {
  const Sysctl of_new_devices{{"default", std::string(kAcceptRa)}, ""};
  const UniqueFd file(::open(path_of(of_new_devices).c_str(), O_WRONLY | O_CLOEXEC));
  if (file || !is_fixed(errno)) {
    return std::nullopt;
  }
  std::string reason = std::strerror(errno);
  return FixedSettings{.reason = std::move(reason), .accept_ra = value_of(of_new_devices)};
}

}  // namespace

void SysctlPart::dump(const Scope&, KindSet, Snapshot& snapshot) {
  std::vector<Sysctl> settings;
  for (const Link& link : snapshot.ours.of<Link>()) {
    for (const std::string_view name : {kAcceptRa, kDisableIpv6}) {
      settings.push_back({{link.key.name, std::string(name)}, ""});
      settings.back().value = value_of(settings.back());
    }
  }
  snapshot.ours.of<Sysctl>() = Table<Sysctl>(std::move(settings));
  snapshot.fixed_settings = find_fixed_settings();
}

std::vector<OpResult> SysctlPart::apply(std::span<const Op> ops) {
  std::vector<OpResult> results;
  for (const Op& op : ops) {
    results.push_back(write_setting(std::get<Sysctl>(op.object)));
  }
  return results;
}

}  // namespace flannel

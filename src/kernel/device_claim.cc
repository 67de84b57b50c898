#include "kernel/device_claim.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

namespace flannel {
namespace {

Result<UniqueFd> claim(const Dev& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string text = fmt::format("flannel-device-{}", name.text());
  text.copy(address.sun_path + 1, sizeof address.sun_path - 1);  // behind a zero: abstract
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + text.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (fd && ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0) {
    return fd;
  }
  if (errno == EADDRINUSE) {
    return fail("{} is used by another flanneld on this node: give this network a VNI of its own",
                name.text());
  }
  return fail("claim of {}: {}", name.text(), std::strerror(errno));
}

}  // namespace

Result<void> DeviceClaim::hold(const std::vector<Dev>& names) {
  std::map<Dev, UniqueFd> before;
  held_.swap(before);
  std::map<Dev, UniqueFd> held;
  for (const Dev& name : names) {
    if (const auto known = before.find(name); known != before.end()) {
      held.insert(before.extract(known));
      continue;
    }
    Result<UniqueFd> fd = claim(name);
    if (!fd) {
      return std::unexpected(fd.error());
    }
    held.emplace(name, std::move(*fd));
  }
  held_ = std::move(held);
  return {};
}

}  // namespace flannel

#include "kernel/device_claim.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <random>
#include <ranges>
#include <system_error>

#include "base/log.h"
#include "base/printable.h"
#include "kernel/netlink_socket.h"
#include "kernel/unix_socket_codec.h"

namespace flannel {
namespace {

// An address is a zero byte and these words with a blank between them: kMark, the device, the
// process and its pid namespace, a random number, and the network. No word has a blank in it, and
// all of them fit (sun_path has 108 bytes): a device's name has 15, a network 43.
constexpr std::string_view kMark = "flannel-device";
constexpr std::size_t kWords = 6;

// Numbers are of one pid namespace; 0 where there is no /proc to name it.
std::string pid_namespace() {
  struct stat status{};
  return ::stat("/proc/self/ns/pid", &status) == 0 ? fmt::format("{:x}", status.st_ino) : "0";
}

std::string make_address(const Dev& name, std::string_view network) {
  std::string address = fmt::format("{} {} {} {} {:08x} {}", kMark, name.text(), ::getpid(),
                                    pid_namespace(), std::random_device()(), network);
  return address.insert(0, 1, '\0');
}

// Who has the claim, in the words of the address; nothing where that is none on `name`.
std::optional<std::string> describe(std::string_view address, const Dev& name,
                                    std::string_view network) {
  std::vector<std::string> words;
  for (const auto word :
       address.substr(std::min<std::size_t>(1, address.size())) | std::views::split(' ')) {
    words.emplace_back(word.begin(), word.end());
  }
  if (words.size() != kWords || words[0] != kMark || words[1] != name.text()) {
    return std::nullopt;
  }
  const std::string here = pid_namespace();
  const std::string process =
      words[3] == here && here != "0" ? fmt::format(", process {}", printable(words[2])) : "";
  return words[5] == network ? fmt::format("{}, for this network too: end one of them", process)
                             : fmt::format("{}, for {}: give this network a VNI of its own",
                                           process, printable(words[5]));
}

bool counts(const netlink::UnixSocket& socket) {
  return !socket.uid || *socket.uid == 0 || *socket.uid == ::geteuid();
}

// Of everybody in this network namespace.
std::vector<netlink::UnixSocket> list_sockets() {
  netlink::RequestSocket requests(NETLINK_SOCK_DIAG);
  netlink::Batch request;
  netlink::encode_dump_unix_sockets(request);
  return requests.dump<netlink::UnixSocket>(request, "unix sockets", netlink::decode_unix_socket);
}

// Error: who else claims `name`, if anybody whose claim counts does. `own`: our address, or empty.
Result<void> check_others(const Dev& name, std::string_view network, std::string_view own) {
  try {
    for (const netlink::UnixSocket& socket : list_sockets()) {
      const std::optional<std::string> holder = socket.name != own && counts(socket)
                                                    ? describe(socket.name, name, network)
                                                    : std::nullopt;
      if (holder) {
        return fail("{} is used by another flanneld on this node{}", name.text(), *holder);
      }
    }
  } catch (const std::system_error& error) {  // a kernel without unix_diag
    log_warning("whether another flanneld uses {} cannot be seen: {}", name.text(), error.what());
  }
  return {};
}

Result<UniqueFd> claim(const Dev& name, std::string_view network) {
  // Before there is a claim of ours: who waits for a device disturbs nobody who takes it.
  if (const Result<void> free = check_others(name, network, {}); !free) {
    return std::unexpected(free.error());
  }
  const std::string text = make_address(name, network);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::size_t size = text.copy(address.sun_path, sizeof address.sun_path);
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size);
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd || ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), length) != 0) {
    return fail("claim of {}: {}", name.text(), std::strerror(errno));
  }
  // And after: of two who ask at once, at least one sees the other.
  if (const Result<void> free = check_others(name, network, text); !free) {
    return std::unexpected(free.error());
  }
  return fd;
}

}  // namespace

Result<void> DeviceClaim::hold(const std::vector<Dev>& names, std::string_view network) {
  std::map<Dev, Held> before;
  held_.swap(before);
  std::erase_if(before, [&](const auto& claim) { return claim.second.network != network; });
  std::map<Dev, Held> held;
  for (const Dev& name : names) {
    if (const auto known = before.find(name); known != before.end()) {
      held.insert(before.extract(known));
      continue;
    }
    Result<UniqueFd> socket = claim(name, network);
    if (!socket) {
      return std::unexpected(socket.error());
    }
    held.emplace(name, Held{std::string(network), std::move(*socket)});
  }
  held_ = std::move(held);
  return {};
}

}  // namespace flannel

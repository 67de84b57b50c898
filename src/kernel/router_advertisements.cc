#include "kernel/router_advertisements.h"

#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <unistd.h>

#include <array>
#include <set>
#include <string>

#include "base/file.h"
#include "kernel/netlink_socket.h"
#include "kernel/route_codec.h"

namespace flannel {
namespace {

std::set<int> devices_with_advertised_routes() {
  netlink::RequestSocket socket;
  netlink::Batch request;
  netlink::encode_dump_routes(request, Family::v6, RTPROT_RA);
  std::set<int> indexes;
  socket.dump<int>(request, "routes", [&](const netlink::MessageView& message) {
    const std::optional<netlink::RouteMessage> found = netlink::decode_route(message);
    // Old kernels list those of every protocol.
    if (found && found->route.protocol == RTPROT_RA && found->index != 0) {
      indexes.insert(found->index);
    }
    return std::optional<int>();
  });
  return indexes;
}

}  // namespace

void keep_router_advertisements() {
  for (const int index : devices_with_advertised_routes()) {
    std::array<char, IF_NAMESIZE> name{};
    if (::if_indextoname(static_cast<unsigned>(index), name.data()) == nullptr) {
      continue;
    }
    const std::string path = fmt::format("/proc/sys/net/ipv6/conf/{}/accept_ra", name.data());
    if (read_file(path) == "1\n") {
      const UniqueFd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
      [[maybe_unused]] const ssize_t written = file ? ::write(file.get(), "2", 1) : 0;
    }
  }
}

}  // namespace flannel

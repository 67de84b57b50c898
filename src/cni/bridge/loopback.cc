// loopback: `lo` of a container, up.
#include "cni/host/link_socket.h"
#include "cni/host/netns.h"
#include "cni/protocol/error.h"
#include "cni/protocol/plugin.h"

namespace flannel::cni {
namespace {

constexpr const char* kName = "lo";

json::object add_loopback(const Request& request) {
  const NetNs netns = NetNs::need(request.netns);
  AddResult result = previous_result(request).value_or(AddResult());
  const std::int64_t index = static_cast<std::int64_t>(result.interfaces.size());
  netns.run([&] {
    LinkSocket links;
    const std::optional<LinkInfo> link = links.find(kName);
    if (!link) {
      throw_error(Code::internal, "there is no {}", kName);
    }
    links.set_up(link->index);
    result.interfaces.push_back(
        {.name = kName, .mac = link->mac.to_text(), .sandbox = request.netns});
    for (const netlink::AddressMessage& each : links.addresses(link->index)) {
      result.ips.push_back(
          {.interface = index, .address = each.address.prefix, .gateway = std::nullopt});
    }
  });
  return to_json(result, request.version);
}

void check_loopback(const Request& request) {
  NetNs::need(request.netns).run([&] {
    const std::optional<LinkInfo> link = LinkSocket().find(kName);
    if (!link || !link->up) {
      throw_error(Code::internal, "{} is not up", kName);
    }
  });
}

void del_loopback(const Request& request) {
  const std::optional<NetNs> netns =
      request.netns.empty() ? std::nullopt : NetNs::open(request.netns);
  if (netns) {
    netns->run([] {
      LinkSocket links;
      if (const std::optional<LinkInfo> link = links.find(kName)) {
        links.set_down(link->index);
      }
    });
  }
}

void nothing(const Request&) {}

}  // namespace

const Plugin kLoopback = {"loopback", add_loopback, check_loopback, del_loopback, nothing, nothing};

}  // namespace flannel::cni

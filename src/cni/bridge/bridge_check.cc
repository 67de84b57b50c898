// CHECK: the container is still connected as its ADD said.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "cni/bridge/bridge.h"
#include "cni/bridge/bridge_config.h"
#include "cni/host/link_socket.h"
#include "cni/host/netns.h"
#include "cni/protocol/error.h"

namespace flannel::cni {
namespace {

const ResultInterface* find_interface(const AddResult& result, const std::string& name,
                                      const std::string& sandbox) {
  const auto found = std::find_if(
      result.interfaces.begin(), result.interfaces.end(),
      [&](const ResultInterface& each) { return each.name == name && each.sandbox == sandbox; });
  return found == result.interfaces.end() ? nullptr : &*found;
}

LinkInfo check_link(LinkSocket& links, const ResultInterface& wanted, std::string_view kind) {
  const std::optional<LinkInfo> link = links.find(wanted.name);
  if (!link) {
    throw_error(Code::internal, "Interface name {} not found", wanted.name);
  }
  if (link->kind != kind) {
    throw_error(Code::internal, "Interface {} does not have link type of {}", wanted.name, kind);
  }
  if (!wanted.mac.empty() && wanted.mac != link->mac.to_text()) {
    throw_error(Code::internal, "Interface {} Mac doesn't match: {} is wanted, {} is there",
                wanted.name, wanted.mac, link->mac.to_text());
  }
  return *link;
}

void check_addresses(LinkSocket& links, const LinkInfo& link, const AddResult& result) {
  const std::vector<netlink::AddressMessage> addresses = links.addresses(link.index);
  for (const ResultIp& ip : result.ips) {
    const bool there = std::any_of(addresses.begin(), addresses.end(), [&](const auto& each) {
      return each.address.prefix == ip.address;
    });
    if (!there) {
      throw_error(Code::internal, "Failed to match addr {} on interface {}", ip.address.to_text(),
                  link.name);
    }
  }
}

void check_routes(LinkSocket& links, const AddResult& result) {
  // By destination and gateway; without a gateway, by any or none.
  std::map<Family, std::set<std::pair<Prefix, std::optional<IpAddr>>>> there;
  for (const ResultRoute& wanted : result.routes) {
    if (wanted.table && *wanted.table != 254) {  // the main table, RT_TABLE_MAIN
      continue;
    }
    const auto [routes, is_new] = there.try_emplace(wanted.dst.family());
    if (is_new) {
      for (const netlink::RouteMessage& each : links.routes(wanted.dst.family())) {
        routes->second.emplace(each.route.key.dst, each.route.via);
        routes->second.emplace(each.route.key.dst, std::nullopt);
      }
    }
    if (!routes->second.contains({wanted.dst.masked(), wanted.gw})) {
      throw_error(Code::internal, "Expected Route {} not found in routing table",
                  wanted.dst.to_text());
    }
  }
}

// The other end of the container's link, which the result names, is a port of the bridge.
void check_port(LinkSocket& host, const AddResult& result, const LinkInfo& bridge,
                const LinkInfo& container) {
  const bool connected = std::any_of(
      result.interfaces.begin(), result.interfaces.end(), [&](const ResultInterface& each) {
        const std::optional<LinkInfo> port =
            each.sandbox.empty() && each.name != bridge.name ? host.find(each.name) : std::nullopt;
        return port && port->kind == "veth" && port->index == container.peer &&
               port->peer == container.index && port->master == bridge.index &&
               (each.mac.empty() || each.mac == port->mac.to_text());
      });
  if (!connected) {
    throw_error(Code::internal, "CNI veth created for bridge {} was not found", bridge.name);
  }
}

}  // namespace

void bridge_check(const Request& request) {
  const BridgeConfig config = parse_bridge(request);
  const NetNs netns = NetNs::need(request.netns);
  ipam_check(request, config.ipam);
  const std::optional<AddResult> previous = previous_result(request);
  if (!previous) {
    throw_error(Code::invalid_config, "Required prevResult missing");
  }
  const AddResult& result = *previous;
  const ResultInterface* of_bridge = find_interface(result, config.bridge, "");
  const ResultInterface* of_container =
      find_interface(result, request.attachment.ifname, request.netns);
  if (of_bridge == nullptr) {
    throw_error(Code::internal, "CNI created bridge {} in host namespace was not found",
                config.bridge);
  }
  if (of_container == nullptr) {
    throw_error(Code::internal, "CNI created interface in container {} not found",
                request.attachment.ifname);
  }
  LinkSocket host;
  const LinkInfo bridge = check_link(host, *of_bridge, "bridge");
  if (bridge.promiscuous != config.promiscuous) {
    throw_error(Code::internal,
                "Bridge interface {} configured Promisc Mode {} doesn't match current state: {}",
                bridge.name, config.promiscuous, bridge.promiscuous);
  }
  LinkInfo container;
  netns.run([&] {
    LinkSocket links;
    container = check_link(links, *of_container, "veth");
    check_addresses(links, container, result);
    check_routes(links, result);
  });
  check_port(host, result, bridge, container);
}

}  // namespace flannel::cni

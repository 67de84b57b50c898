// Links, addresses and routes of one network namespace, as far as containers need them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cni/protocol/result.h"
#include "kernel/address_codec.h"
#include "kernel/netlink_socket.h"
#include "kernel/route_codec.h"

namespace flannel::cni {

struct LinkInfo {
  int index = 0;
  std::string name;
  std::string kind;  // `veth`, `bridge`, …; empty for hardware
  Mac mac;
  std::uint32_t mtu = 0;
  bool up = false;
  bool promiscuous = false;
  bool running = false;  // operational state UP (RFC 2863)
  int master = 0;        // index of its bridge, 0 for none
  int peer = 0;          // of a veth: the other end's index in its namespace
  std::string alias;     // what it is for, in words of who made it
};

struct VethPair {
  std::string host_name;
  std::string container_name;
  int container_netns = -1;          // file descriptor
  std::optional<Mac> container_mac;  // else the kernel's choice
  std::uint32_t mtu = 0;             // bytes; 0 is the kernel's default
  int bridge = 0;                    // index of the host end's master; 0 for none
  std::string alias;                 // of the host end: says whose it is
};

struct BridgePort {
  bool hairpin = false;
  bool isolated = false;
};

// What a bridge port does with the frames of a VLAN.
struct PortVlan {
  std::uint16_t id = 0;
  bool native = false;  // the untagged frames' VLAN, left untagged on the way out
};

// Opened in the network namespace that the thread is in then. Every function throws CniError
// (internal) with the kernel's own words.
class LinkSocket {
 public:
  std::optional<LinkInfo> find(std::string_view name);
  // Each in its place.
  std::vector<std::optional<LinkInfo>> find_all(std::span<const std::string> names);
  // By which a packet to this address would leave; nothing where there is no way.
  std::optional<std::string> device_to(const IpAddr& address);
  std::vector<LinkInfo> ports(int bridge);

  // One that exists already is left as it is.
  void add_bridge(std::string_view name, std::uint32_t mtu, bool vlan_filtering);
  // Both ends, with one queue each; the host end, which is returned, up and in its bridge. Nothing
  // where one of the two names is taken.
  std::optional<LinkInfo> add_veth(const VethPair& pair);
  // False where it is not there.
  bool remove(int index);
  void set_up(int index);
  void set_down(int index);
  void set_promiscuous(int index);
  // Also without a change, which pins a bridge's MAC: it follows its ports' no more.
  void set_mac(int index, const Mac& mac);
  void set_port(int index, const BridgePort& port);
  void add_vlan(int index, const PortVlan& vlan);
  void remove_vlan(int index, std::uint16_t id);

  std::vector<netlink::AddressMessage> addresses(int index);
  // One that is there already is fine. It is usable at once: nobody else can have it.
  void add_address(int index, const Prefix& address);
  void remove_address(int index, const Prefix& address);
  // Addresses, the link up, and routes, in one message to the kernel, or as many as it takes. Each
  // route in its own table, by `gw` where it has one. One that exists is a failure; by another link
  // it may, for a container with two interfaces. The kernel announces the link's addresses to
  // its neighbours (`arp_notify`). A failure names its object.
  void configure(int index, std::span<const ResultIp> ips, std::span<const ResultRoute> routes);
  // Of the main table.
  std::vector<netlink::RouteMessage> routes(Family family);

 private:
  // Sends the batch; throws for the first failure that is not `tolerated`, with what `describe`
  // says of the message of that index. The errno of the first tolerated one, else 0.
  int transact(netlink::Batch& batch, const std::function<std::string(std::size_t)>& describe,
               int tolerated = 0);
  int transact_one(netlink::Batch& batch, const std::string& what, int tolerated = 0);

  netlink::RequestSocket socket_;
};

}  // namespace flannel::cni

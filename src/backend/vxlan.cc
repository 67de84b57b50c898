#include "backend/vxlan.h"

#include <boost/json.hpp>

#include "backend/peer_routes.h"
#include "base/first_error.h"
#include "base/hash.h"
#include "base/printable.h"
#include "network/backend_options.h"

namespace flannel {
namespace {

constexpr std::uint32_t kMaxVni = (1U << 24) - 1;
constexpr std::uint16_t kKernelPort = 8472;  // what Linux takes where no port is given
// Outer Ethernet, IP, UDP and VXLAN headers (RFC 7348).
constexpr std::uint32_t kOverheadV4 = 14 + 20 + 8 + 8;
constexpr std::uint32_t kOverheadV6 = 14 + 40 + 8 + 8;
// The least a link must be able to carry (RFC 791, RFC 8200); below, the kernel takes the device's
// addresses away.
constexpr std::uint32_t kMinMtuV4 = 68;
constexpr std::uint32_t kMinMtuV6 = 1280;

std::uint32_t overhead(Family family) {
  return family == Family::v4 ? kOverheadV4 : kOverheadV6;
}

struct VxlanOptions {
  std::uint32_t vni = 1;
  std::uint16_t port = kKernelPort;
  bool gbp = false;
  bool learning = false;
  bool direct_routing = false;
  std::uint32_t mtu = 0;  // 0: that of the external interface
};

// A peer's side of the tunnel, as its lease gives it.
struct PeerTunnel {
  Prefix subnet;
  IpAddr remote;
  Mac mac;
};

class VxlanBackend : public Backend {
 public:
  explicit VxlanBackend(VxlanOptions options) : options_(options) {}

  std::string type() const override { return "vxlan"; }
  Traits traits(const NetworkConfig& network) const override;
  Result<std::uint32_t> mtu(const NetworkConfig& network,
                            const ExternalInterface& external) const override;
  std::vector<std::string> warnings(const ExternalInterface& external) const override;
  std::optional<Mac> vtep_mac(const Lease& lease, Family family) const override;
  LeaseAttrs announce(const NetworkConfig& network, const ExternalInterface& external,
                      const AnnounceInputs& inputs) const override;
  Plan plan(const Node& node, PeerList peers) const override;

 private:
  Dev device_name(Family family) const;
  Link device(const Node& node, Family family, const Mac& mac) const;
  Mac device_mac(const NetworkConfig& network, const ExternalInterface& external, Family family,
                 const AnnounceInputs& inputs) const;
  Vxlan attributes(const ExternalInterface& external, Family family) const;
  std::vector<PeerTunnel> usable_tunnels(PeerList peers, Family family,
                                         std::vector<Refused>& skipped) const;
  // The MTU that tunnel packets must fit in.
  std::uint32_t outer_mtu(const ExternalInterface& external) const;

  VxlanOptions options_;
};

// From data as every flannel writes it, `{"VNI":1,"VtepMAC":"02:00:5e:10:00:01"}`, which saves
// thousands of peers a JSON parser with each plan; nothing where it is anything else.
std::optional<Mac> plain_vtep_mac(std::string_view data) {
  constexpr std::string_view kBefore = R"({"VNI":)", kBetween = R"(,"VtepMAC":")", kAfter = R"("})";
  constexpr std::size_t kMacText = 17;
  if (!data.starts_with(kBefore) || data.ends_with(R"(\"})") || !data.ends_with(kAfter)) {
    return std::nullopt;
  }
  data = data.substr(kBefore.size(), data.size() - kBefore.size() - kAfter.size());
  const std::size_t digits = data.find_first_not_of("0123456789");
  if (digits == 0 || digits == std::string_view::npos || data[0] == '0' ||
      !data.substr(digits).starts_with(kBetween) ||
      data.size() != digits + kBetween.size() + kMacText) {
    return std::nullopt;
  }
  const Result<Mac> mac = Mac::parse(data.substr(digits + kBetween.size()));
  return mac ? std::optional(*mac) : std::nullopt;
}

Result<Mac> any_vtep_mac(const std::string& data) {
  unsigned char buffer[1024];  // more than such data takes
  boost::json::monotonic_resource memory(buffer);
  boost::system::error_code error;
  const boost::json::value document = boost::json::parse(data, error, &memory);
  const boost::json::object* object = document.if_object();
  if (error || object == nullptr) {
    return fail("{}: not a JSON object", data.empty() ? "(none)" : printable(data));
  }
  const boost::json::value* text = object->if_contains("VtepMAC");
  if (text == nullptr || !text->is_string()) {
    return fail("{}: no VtepMAC", printable(data));
  }
  const Result<Mac> mac = Mac::parse(text->get_string());
  if (!mac) {
    return fail("VtepMAC: {}", mac.error().text);
  }
  return *mac;
}

// The MAC in a lease's backend data. The peer's VNI is not looked at: all nodes have our own.
Result<Mac> parse_vtep_mac(const std::string& data) {
  const std::optional<Mac> plain = plain_vtep_mac(data);
  const Result<Mac> mac = plain ? Result<Mac>(*plain) : any_vtep_mac(data);
  if (mac && (mac->is_zero() || mac->is_multicast())) {
    return fail("VtepMAC {}: no unicast address", mac->to_text());
  }
  return mac;
}

Result<PeerTunnel> peer_tunnel(const Lease& peer, Family family) {
  const std::optional<IpAddr>& remote = peer.attrs.public_address(family);
  if (!remote) {
    return fail("it has no public {} address", to_text(family));
  }
  const Result<Mac> mac = parse_vtep_mac(peer.attrs.data(family));
  if (!mac) {
    return fail("{} {}", family == Family::v4 ? "BackendData" : "BackendV6Data", mac.error().text);
  }
  return PeerTunnel{*peer.key.family(family), *remote, *mac};
}

// The tunnels of all peers that can have one.
std::vector<PeerTunnel> VxlanBackend::usable_tunnels(PeerList peers, Family family,
                                                     std::vector<Refused>& skipped) const {
  std::vector<PeerTunnel> tunnels;
  tunnels.reserve(peers.size());
  for (const Lease* lease : peers) {
    const Lease& peer = *lease;
    if (!peer.key.family(family)) {
      continue;
    }
    const Result<void> same_type = check_type(peer);
    const Result<PeerTunnel> tunnel =
        same_type ? peer_tunnel(peer, family) : std::unexpected(same_type.error());
    if (!tunnel) {
      skipped.push_back({to_text(peer.key), tunnel.error().text});
    } else {
      tunnels.push_back(*tunnel);
    }
  }
  return tunnels;
}

Dev VxlanBackend::device_name(Family family) const {
  const std::string name =
      fmt::format("{}.{}", family == Family::v4 ? "flannel" : "flannel-v6", options_.vni);
  return std::string_view(name);
}

Traits VxlanBackend::traits(const NetworkConfig& network) const {
  Traits traits;
  traits.uses_paths = options_.direct_routing;
  traits.live_options = {"MTU", "Learning", "DirectRouting"};
  for (const Family family : kFamilies) {
    if (network.family(family)) {
      traits.links.push_back(device_name(family));
    }
  }
  return traits;
}

// The kernel gives a device no more than its lower device lets through.
std::uint32_t VxlanBackend::outer_mtu(const ExternalInterface& external) const {
  return options_.mtu == 0 ? external.mtu : std::min(options_.mtu, external.mtu);
}

std::vector<std::string> VxlanBackend::warnings(const ExternalInterface& external) const {
  if (options_.mtu <= external.mtu) {
    return {};
  }
  return {fmt::format("Backend.MTU {} is over the {} of {}, which are used instead", options_.mtu,
                      external.mtu, external.name.text())};
}

std::optional<Mac> VxlanBackend::vtep_mac(const Lease& lease, Family family) const {
  const Result<Mac> mac = check_type(lease) ? parse_vtep_mac(lease.attrs.data(family))
                                            : Result<Mac>(std::unexpected(Error{}));
  return mac ? std::optional(*mac) : std::nullopt;
}

Result<std::uint32_t> VxlanBackend::mtu(const NetworkConfig& network,
                                        const ExternalInterface& external) const {
  const std::uint32_t outer = outer_mtu(external);
  // Pods have one MTU for both families: the smaller.
  const std::uint32_t headers = overhead(network.v6 ? Family::v6 : Family::v4);
  const std::uint32_t least = network.v6 ? kMinMtuV6 : kMinMtuV4;
  if (outer < headers + least) {
    return fail("MTU {} leaves less than {} bytes after {} of encapsulation", outer, least,
                headers);
  }
  return outer - headers;
}

Vxlan VxlanBackend::attributes(const ExternalInterface& external, Family family) const {
  return {options_.vni,  external.public_address(family),
          external.name, options_.port,
          options_.gbp,  options_.learning};
}

Link VxlanBackend::device(const Node& node, Family family, const Mac& mac) const {
  Link link;
  link.key.name = device_name(family);
  link.kind = attributes(node.external, family);
  link.mac = mac;
  link.mtu = outer_mtu(node.external) - overhead(family);
  link.alias = node.scope.alias;
  return link;
}

// A device that can stay keeps its MAC, as peers know it. A new one gets the MAC it had before, by
// what it published where a store remembers that, else without having to remember it: after a
// reboot nothing changes for the peers.
Mac VxlanBackend::device_mac(const NetworkConfig& network, const ExternalInterface& external,
                             Family family, const AnnounceInputs& inputs) const {
  const Link* device = inputs.devices.find({device_name(family)});
  const Vxlan* is = device == nullptr ? nullptr : std::get_if<Vxlan>(&device->kind);
  if (is != nullptr) {
    Vxlan should = attributes(external, family);
    should.learning = is->learning;
    if (*is == should && !device->mac.is_zero() && !device->mac.is_multicast()) {
      return device->mac;
    }
  }
  if (inputs.published != nullptr) {
    if (const Result<Mac> known = parse_vtep_mac(inputs.published->data(family))) {
      return *known;
    }
  }
  return Mac::local(stable_hash(fmt::format("{} {} {}", network.family(family)->network.to_text(),
                                            device_name(family).text(),
                                            external.public_address(family).to_text())));
}

LeaseAttrs VxlanBackend::announce(const NetworkConfig& network, const ExternalInterface& external,
                                  const AnnounceInputs& inputs) const {
  LeaseAttrs attrs;
  attrs.public_ip = external.public_v4;
  attrs.public_ipv6 = external.public_v6;
  attrs.backend_type = type();
  for (const Family family : kFamilies) {
    if (!network.family(family)) {
      continue;
    }
    const Mac mac = device_mac(network, external, family, inputs);
    std::string& data = family == Family::v4 ? attrs.backend_data : attrs.backend_v6_data;
    data = fmt::format(R"({{"VNI":{},"VtepMAC":"{}"}})", options_.vni, mac.to_text());
  }
  return attrs;
}

Plan VxlanBackend::plan(const Node& node, PeerList peers) const {
  Plan plan;
  PeerRoutes routes(node, peers.size());
  std::vector<Neighbour> neighbours;
  std::vector<FdbEntry> fdb;
  neighbours.reserve(peers.size());
  fdb.reserve(peers.size());
  for (const Family family : kFamilies) {
    const Result<Mac> own_mac = parse_vtep_mac(node.own.attrs.data(family));
    if (!node.network.family(family) || !node.own.key.family(family) || !own_mac) {
      continue;
    }
    const Link link = device(node, family, *own_mac);
    const Dev dev = link.key.name;
    const IpAddr own = node.own.key.family(family)->ip;
    plan.state.of<Link>().put(link);
    plan.state.of<Sysctl>().put({{dev, std::string(kAcceptRa)}, "0"});
    if (family == Family::v6) {
      plan.state.of<Sysctl>().put({{dev, std::string(kDisableIpv6)}, "0"});
    }
    plan.state.of<Address>().put({{dev, {own, static_cast<std::uint8_t>(own.bits())}}});
    for (const PeerTunnel& peer : usable_tunnels(peers, family, plan.skipped)) {
      if (options_.direct_routing &&
          routes.add_direct(peer.subnet, peer.remote, PeerRoutes::Over::shared_links)) {
        continue;
      }
      neighbours.push_back({{dev, peer.subnet.ip}, peer.mac});
      fdb.push_back({{dev, peer.mac}, peer.remote});
      routes.add(peer.subnet, peer.subnet.ip, dev, true);
    }
  }
  plan.state.of<Neighbour>() = Table<Neighbour>(std::move(neighbours));
  plan.state.of<FdbEntry>() = Table<FdbEntry>(std::move(fdb));
  routes.finish(plan);
  return plan;
}

}  // namespace

Result<std::unique_ptr<Backend>> make_vxlan(const NetworkConfig& network) {
  const BackendOptions given(network.backend);
  const Result<std::uint64_t> vni = given.number("VNI", 1, kMaxVni);
  const Result<std::uint64_t> port = given.number("Port", 0, 65535);
  const Result<bool> gbp = given.flag("GBP", false);
  const Result<bool> learning = given.flag("Learning", false);
  const Result<bool> direct = given.flag("DirectRouting", false);
  const Result<std::uint64_t> mtu = given.number("MTU", 0, 65535);
  if (const Error* error = first_error(vni, port, gbp, learning, direct, mtu)) {
    return fail("error decoding VXLAN backend config: {}", error->text);
  }
  VxlanOptions options;
  options.vni = static_cast<std::uint32_t>(*vni);
  options.port = *port == 0 ? kKernelPort : static_cast<std::uint16_t>(*port);
  options.gbp = *gbp;
  options.learning = *learning;
  options.direct_routing = *direct;
  options.mtu = static_cast<std::uint32_t>(*mtu);
  return std::make_unique<VxlanBackend>(options);
}

}  // namespace flannel

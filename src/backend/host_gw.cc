#include "backend/host_gw.h"

#include "backend/peer_routes.h"

namespace flannel {
namespace {

class HostGwBackend : public Backend {
 public:
  std::string type() const override { return "host-gw"; }
  Traits traits(const NetworkConfig&) const override { return {.links = {}, .uses_paths = true}; }

  Result<std::uint32_t> mtu(const NetworkConfig&,
                            const ExternalInterface& external) const override {
    // Peers take the published address for their gateway: it must be the interface's own. As in
    // the reference, only IPv4, where addresses are translated, is looked at.
    if (external.public_v4 != external.v4) {
      return fail(
          "your PublicIP {} differs from interface IP {}, meaning that probably you're on a NAT, "
          "which is not supported by host-gw backend",
          external.public_address(Family::v4).to_text(), external.address(Family::v4).to_text());
    }
    return external.mtu;
  }

  LeaseAttrs announce(const NetworkConfig&, const ExternalInterface& external,
                      const AnnounceInputs&) const override {
    return {external.public_v4, external.public_v6, type(), "", ""};
  }

  Plan plan(const Node& node, PeerList peers) const override;
};

Plan HostGwBackend::plan(const Node& node, PeerList peers) const {
  Plan plan;
  PeerRoutes routes(node, peers.size());
  for (const Lease* lease : peers) {
    const Lease& peer = *lease;
    if (const Result<void> same = check_type(peer); !same) {
      plan.skipped.push_back({to_text(peer.key), same.error().text});
      continue;
    }
    for (const Family family : kFamilies) {
      const std::optional<Prefix>& subnet = peer.key.family(family);
      const std::optional<IpAddr>& gateway = peer.attrs.public_address(family);
      if (!subnet || !gateway) {
        continue;
      }
      const Result<void> routed = routes.add_direct(*subnet, *gateway, PeerRoutes::Over::all_links);
      if (!routed) {
        plan.skipped.push_back({to_text(peer.key), routed.error().text});
      }
    }
  }
  routes.finish(plan);
  return plan;
}

}  // namespace

Result<std::unique_ptr<Backend>> make_host_gw(const NetworkConfig&) {
  return std::make_unique<HostGwBackend>();
}

}  // namespace flannel

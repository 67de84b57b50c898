// A node for tests of backends: eth0 with 198.18.0.2/16 and fd99::2/64, and leases 10.5.60.0/24 and
// fc00:5:0:60::/64 of the families that its network has.
#pragma once

#include <gtest/gtest.h>

#include "backend/scope.h"

namespace flannel {

inline NetworkConfig test_network(const std::string& backend, const std::string& more = "") {
  const Result<NetworkConfig> network = parse_network_config(
      fmt::format(R"({{"Network":"10.5.0.0/16",{}"Backend":{}}})", more, backend));
  EXPECT_TRUE(network) << network.error().text;
  return *network;
}
inline NetworkConfig dual_network(const std::string& backend) {
  return test_network(backend, R"("EnableIPv6":true,"IPv6Network":"fc00:5::/48",)");
}
inline NetworkConfig v6_network(const std::string& backend) {
  return test_network(backend,
                      R"("EnableIPv4":false,"EnableIPv6":true,"IPv6Network":"fc00:5::/48",)");
}

struct TestNode {
  explicit TestNode(NetworkConfig config)
      : network(std::move(config)),
        backend(*make_backend(network)),
        scope(make_scope(network, *backend)) {
    external.name = "eth0";
    external.mtu = 1500;
    if (network.v4) {
      external.v4 = external.public_v4 = *IpAddr::parse("198.18.0.2");
      own.key.v4 = *Prefix::parse("10.5.60.0/24");
    }
    if (network.v6) {
      external.v6 = external.public_v6 = *IpAddr::parse("fd99::2");
      own.key.v6 = *Prefix::parse("fc00:5:0:60::/64");
    }
    own.attrs = announce();
  }

  LeaseAttrs announce(const NetState& have = {}, const LeaseAttrs* published = nullptr) const {
    return backend->announce(network, external, {have.of<Link>(), published});
  }
  Plan plan(std::span<const Lease> peers = {}) const {
    std::vector<const Lease*> list;
    for (const Lease& peer : peers) {
      list.push_back(&peer);
    }
    return backend->plan({network, external, own, scope, paths, nexthops}, list);
  }
  std::string plan_text(std::span<const Lease> peers) const { return to_text(plan(peers).state); }

  NetworkConfig network;
  std::unique_ptr<Backend> backend;
  Scope scope;
  ExternalInterface external;
  Lease own;
  Paths paths;
  NexthopUse nexthops;
};

inline Lease test_peer(const std::string& key, const std::string& attrs) {
  return {*parse_lease_key(key), *parse_lease_attrs(attrs), {}};
}

}  // namespace flannel

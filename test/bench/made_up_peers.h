// The nodes that benchmarks make up.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/mac.h"
#include "network/lease.h"

namespace flannel {

// v4, v6, dual (all vxlan), or host-gw (IPv4).
struct BenchMode {
  explicit BenchMode(const std::string& name)
      : v4(name != "v6"), v6(name == "v6" || name == "dual"), host_gw(name == "host-gw") {
    if (name != "v4" && name != "v6" && name != "dual" && name != "host-gw") {
      throw std::runtime_error(name + ": not one of v4, v6, dual, host-gw");
    }
  }
  bool v4, v6, host_gw;

  const char* type() const { return host_gw ? "host-gw" : "vxlan"; }
  // The node itself takes a subnet below those of the peers.
  std::string config() const {
    return fmt::format(
        R"({{"EnableIPv4":{},"Network":"10.0.0.0/8","SubnetLen":24,"SubnetMin":"10.1.0.0",)"
        R"("SubnetMax":"10.60.255.0","EnableIPv6":{},"IPv6Network":"fc00:5::/32",)"
        R"("IPv6SubnetLen":64,"IPv6SubnetMin":"fc00:5:0:1::","IPv6SubnetMax":"fc00:5:0:ff::",)"
        R"("Backend":{{"Type":"{}"}}}})",
        v4, v6, type());
  }
};

// Subnets from 10.64.0.0/24 and fc00:5:1::/64 up, public addresses from 198.19.0.0 and fd99::1:0
// up, a day to live.
inline Lease made_up_peer(unsigned i, const BenchMode& mode) {
  const auto data = [i](unsigned family) {
    // As real ones: in no order, which is what tables of thousands of them cost.
    const Mac mac = Mac::local(stable_hash(fmt::format("{} {}", family, i)));
    return fmt::format(R"({{"VNI":1,"VtepMAC":"{}"}})", mac.to_text());
  };
  Lease peer;
  peer.attrs.backend_type = mode.type();
  peer.expiry = BootClock::now() + std::chrono::hours(24);
  if (mode.v4) {
    peer.key.v4 = Prefix{IpAddr::from_number(Family::v4, 0x0a400000 + (i << 8)), 24};
    peer.attrs.public_ip = IpAddr::from_number(Family::v4, 0xc6130000 + i);
    peer.attrs.backend_data = mode.host_gw ? "" : data(4);
  }
  if (mode.v6) {
    const Uint128 first = static_cast<Uint128>(0xfc00000500010000) + i;
    peer.key.v6 = Prefix{IpAddr::from_number(Family::v6, first << 64), 64};
    peer.attrs.public_ipv6 = IpAddr::from_number(
        Family::v6, (static_cast<Uint128>(0xfd99000000000000) << 64) + 0x10000 + i);
    peer.attrs.backend_v6_data = data(6);
  }
  return peer;
}

// The even ones, so that whoever joins comes somewhere between them.
inline std::vector<Lease> made_up_peers(unsigned count, const BenchMode& mode) {
  std::vector<Lease> peers;
  for (unsigned i = 0; i < count; ++i) {
    peers.push_back(made_up_peer(2 * i, mode));
  }
  return peers;
}

}  // namespace flannel

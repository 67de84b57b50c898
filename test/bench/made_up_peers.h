// The vxlan nodes that benchmarks make up.
#pragma once

#include <vector>

#include "base/mac.h"
#include "network/lease.h"

namespace flannel {

// Subnets from 10.64.0.0/24 up, public addresses from 198.19.0.0 up, a day to live.
inline std::vector<Lease> made_up_peers(unsigned count) {
  std::vector<Lease> peers(count);
  for (unsigned i = 0; i < count; ++i) {
    Lease& peer = peers[i];
    peer.key.v4 = Prefix{IpAddr::from_number(Family::v4, 0x0a400000 + (i << 8)), 24};
    peer.attrs.public_ip = IpAddr::from_number(Family::v4, 0xc6130000 + i);
    peer.attrs.backend_type = "vxlan";
    peer.attrs.backend_data =
        fmt::format(R"({{"VNI":1,"VtepMAC":"{}"}})", Mac::local(0x20000 + i).to_text());
    peer.expiry = std::chrono::system_clock::now() + std::chrono::hours(24);
  }
  return peers;
}

}  // namespace flannel

// Leases as tests write them.
#pragma once

#include <fmt/format.h>

#include <string>

#include "base/mac.h"
#include "network/lease.h"

namespace flannel {

inline Lease vxlan_lease(const std::string& key, const std::string& ip, const Mac& mac) {
  Lease out{.key = *parse_lease_key(key), .attrs = {}, .expiry = {}};
  out.attrs.public_ip = *IpAddr::parse(ip);
  out.attrs.backend_type = "vxlan";
  out.attrs.backend_data = fmt::format(R"({{"VtepMAC":"{}"}})", mac.to_text());
  return out;
}

}  // namespace flannel

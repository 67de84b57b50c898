// Peers and leases as the tests of Peers make and print them.
#pragma once

#include <string>

#include "network/peers.h"

namespace flannel {

inline Lease lease(const std::string& key, const std::string& ip, const std::string& ipv6 = "") {
  Lease out;
  out.key = *parse_lease_key(key);
  if (!ip.empty()) {
    out.attrs.public_ip = *IpAddr::parse(ip);
  }
  if (!ipv6.empty()) {
    out.attrs.public_ipv6 = *IpAddr::parse(ipv6);
  }
  out.attrs.backend_type = "vxlan";
  return out;
}

inline NetworkConfig v4_network() {
  return *parse_network_config(R"({"Network":"10.5.0.0/16"})");
}

inline NetworkConfig dual_network() {
  return *parse_network_config(
      R"({"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fc00:5::/48"})");
}

inline Peers peers_with(const NetworkConfig& network = v4_network()) {
  return Peers(network, lease(network.v6 ? "10.5.60.0-24&fc00:5:0:60::-64" : "10.5.60.0-24",
                              "198.18.0.2", network.v6 ? "fd99::2" : ""));
}

inline std::string usable(const Peers& peers) {
  std::string out;
  for (const Lease* peer : peers.usable()) {
    out += (out.empty() ? "" : " ") + to_text(peer->key);
  }
  return out;
}

inline std::string refused(const Peers& peers) {
  std::string out;
  for (const Refused& peer : peers.refused()) {
    out += peer.name + ": " + peer.reason + "\n";
  }
  return out;
}

}  // namespace flannel

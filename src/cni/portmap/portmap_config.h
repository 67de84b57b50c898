// What the configuration of portmap says: ports of the host that lead to a container.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/ip.h"
#include "cni/protocol/request.h"

namespace flannel::cni {

struct PortMapping {
  std::uint16_t host_port = 0;
  std::uint16_t container_port = 0;
  std::string protocol;           // `tcp`, `udp` or `sctp`
  std::optional<IpAddr> host_ip;  // only for packets to this address
};

struct PortmapConfig {
  std::string network;
  std::string container_id;
  std::vector<PortMapping> mappings;
  std::optional<Prefix> v4, v6;               // the container's addresses, host bits kept
  std::string backend;                        // `iptables` or `nftables`
  bool snat = true;                           // masquerade what comes from the host and from itself
  bool masquerade_all = false;                // and everything else
  unsigned mark_bit = 13;                     // 0..31: marks packets to be masqueraded
  std::optional<std::string> set_mark_chain;  // somebody else's, that marks
  std::vector<std::string> conditions_v4, conditions_v6;

  const std::optional<Prefix>& address(Family family) const {
    return family == Family::v4 ? v4 : v6;
  }
  const std::vector<std::string>& conditions(Family family) const {
    return family == Family::v4 ? conditions_v4 : conditions_v6;
  }
  // It counts for packets of this family.
  static bool applies(const PortMapping& mapping, Family family) {
    return !mapping.host_ip || mapping.host_ip->family() == family;
  }
};

// `default_backend` where the configuration names none. Throws CniError.
PortmapConfig parse_portmap(const Request& request, const std::string& default_backend);

}  // namespace flannel::cni

// portmap's rules in iptables, the same as those of containernetworking's portmap:
//
//   PREROUTING, OUTPUT -> CNI-HOSTPORT-DNAT -> CNI-DN-… (one a container) -> mark, DNAT
//   POSTROUTING -> CNI-HOSTPORT-MASQ -> MASQUERADE what is marked
#pragma once

#include <string>
#include <vector>

#include "cni/firewall/iptables_nat.h"
#include "cni/portmap/portmap_config.h"

namespace flannel::cni {

// The chains that all containers share, expected to be there, and the container's own, expected
// not to be. `config` has an address of the family.
NatBatch plan_iptables_ports(const PortmapConfig& config, Family family, const NatTable* known);
// The container's own away, with those of older versions.
NatBatch plan_iptables_removal(const PortmapConfig& config, Family family, const NatTable* known);
// Those of all containers of the network away but those of `valid`.
NatBatch plan_iptables_collection(const std::string& network, const std::vector<Attachment>& valid,
                                  const NatTable& known);

// All throw CniError.
void set_up_iptables_ports(const PortmapConfig& config);
void check_iptables_ports(const PortmapConfig& config);
// Of both families; none is fine.
void tear_down_iptables_ports(const PortmapConfig& config);
void collect_iptables_ports(const std::string& network, const std::vector<Attachment>& valid);

}  // namespace flannel::cni

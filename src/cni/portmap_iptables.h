// portmap's rules in iptables, the same as those of containernetworking's portmap:
//
//   PREROUTING, OUTPUT -> CNI-HOSTPORT-DNAT -> CNI-DN-… (one a container) -> mark, DNAT
//   POSTROUTING -> CNI-HOSTPORT-MASQ -> MASQUERADE what is marked
#pragma once

#include <string>
#include <vector>

#include "cni/portmap_config.h"

namespace flannel::cni {

// Lines for iptables-restore: that the chains all containers share are as they should be, which
// fails otherwise.
std::vector<std::string> check_of_shared_chains(const PortmapConfig& config);
// What makes them so, where `rules` are those of POSTROUTING, PREROUTING, OUTPUT and the shared
// chains now.
std::vector<std::string> making_of_shared_chains(const PortmapConfig& config,
                                                 const std::vector<std::string>& rules);
// The container's own chain and the rules that lead there.
std::vector<std::string> rules_of_container(const PortmapConfig& config, Family family);
// The same as checks.
std::vector<std::string> check_of_container(const PortmapConfig& config, Family family);

void set_up_iptables_ports(const PortmapConfig& config);
void check_iptables_ports(const PortmapConfig& config);
// Of the container, whatever its configuration was. None is fine.
void tear_down_iptables_ports(const std::string& network, const std::string& container_id);
// Of all containers of the network but those of `valid`.
void collect_iptables_ports(const std::string& network, const std::vector<Attachment>& valid);

}  // namespace flannel::cni

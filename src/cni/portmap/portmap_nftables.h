// portmap's rules in nftables, the same as those of containernetworking's portmap: table
// cni_hostport of each family, a rule a mapping with the container as its comment.
#pragma once

#include <string>
#include <vector>

#include "cni/portmap/portmap_config.h"

namespace flannel::cni {

// Commands for nft. Adding what is there already is fine.
std::string nft_ports(const PortmapConfig& config, Family family);

void set_up_nft_ports(const PortmapConfig& config);
void check_nft_ports(const PortmapConfig& config);
// None is fine.
void tear_down_nft_ports(const std::string& container_id);

}  // namespace flannel::cni

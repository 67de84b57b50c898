// subnet.env: what the CNI plugin and mk-docker-opts.sh read of the daemon's decisions.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/ip.h"
#include "network/lease.h"
#include "network/network_config.h"

namespace flannel {

// The text of the file: networks, subnets (base + 1), MTU and IPMASQ, no quotes.
std::string subnet_env_text(const NetworkConfig& network, const LeaseKey& own, unsigned mtu,
                            bool ip_masq);

// Where the daemon says, in one line, why the file is not written yet: beside it.
std::string reason_file(const std::string& subnet_file);

// What an earlier run left, read with dotenv rules (quotes, `export`, comments). A value may be
// a comma list; invalid items are skipped, and more than one valid item counts as none.
struct SubnetEnv {
  std::optional<Prefix> network, ipv6_network;
  std::optional<Prefix> subnet, ipv6_subnet;  // as written: base + 1
  // The subnets as a lease key: network addresses.
  LeaseKey key() const;
};
SubnetEnv parse_subnet_env(std::string_view text);

}  // namespace flannel

// subnet.env as the plugin reads it: what the daemon of this node decided.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"

namespace flannel::cni {

struct FlannelEnv {
  std::vector<Prefix> networks;  // of both families, IPv4 first, each once
  std::optional<Prefix> subnet;  // these two: network addresses
  std::optional<Prefix> ipv6_subnet;
  std::uint32_t mtu = 0;  // bytes; 0 is the kernel's default
  bool ip_masq = false;   // the daemon masquerades
  bool operator==(const FlannelEnv&) const = default;
};

// The error names the line and value, or what is missing: `PATH is missing FLANNEL_MTU`.
Result<FlannelEnv> parse_flannel_env(std::string_view text, const std::string& path);

// Reads the file, waiting up to `timeout` for it to be there and complete: at a node's boot, the
// first containers come before the daemon knows its subnet.
Result<FlannelEnv> read_flannel_env(const std::string& path, std::chrono::milliseconds timeout);

// Why the daemon has not written the file yet, in its own words; empty where it does not say.
std::string daemons_reason(const std::string& subnet_file);

}  // namespace flannel::cni

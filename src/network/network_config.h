// net-conf.json: what the cluster's administrator configured for the overlay.
#pragma once

#include <boost/json/object.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/result.h"

namespace flannel {

// One family's part of the configuration.
struct FamilyConfig {
  Prefix network;              // host bits cleared
  unsigned subnet_length = 0;  // prefix length of a node's subnet
  IpAddr subnet_min;           // first and last subnet a node may get
  IpAddr subnet_max;
  bool operator==(const FamilyConfig&) const = default;
};

struct NetworkConfig {
  std::optional<FamilyConfig> v4;  // nothing where the family is not enabled
  std::optional<FamilyConfig> v6;
  bool nftables = false;
  std::vector<std::string> masq_exclude;  // IPMasqExclude: networks that are not masqueraded to
  std::string backend_type;               // lower case; "udp" where the document has no Backend
  bool backend_missing = false;  // it had none: udp is what the reference takes, with a warning
  boost::json::object backend;   // its options, keys as written
  std::vector<std::string> unknown_fields;  // a sentence each

  const std::optional<FamilyConfig>& family(Family f) const { return f == Family::v4 ? v4 : v6; }
};

// The field of the document that has the family's network.
constexpr std::string_view network_field(Family family) {
  return family == Family::v4 ? "Network" : "IPv6Network";
}

// How much is checked: the reference checks ranges only where it hands out subnets itself.
enum class ConfigChecks {
  full,  // etcd and local: Network, SubnetLen, SubnetMin, SubnetMax and how they fit together
  kube,  // JSON and types only; the node's podCIDR is what counts
};

// As much as a ConfigMap can have, and etcd takes in nearly no longer value.
inline constexpr std::size_t kMostConfigBytes = 1 << 20;

// Parses and validates. Keys match without regard to case, a later duplicate wins, unknown keys
// are ignored, as Go's encoding/json has it, though not silently. Error texts begin as the
// reference's, and name the field and its value.
Result<NetworkConfig> parse_network_config(std::string_view json,
                                           ConfigChecks checks = ConfigChecks::full);

}  // namespace flannel

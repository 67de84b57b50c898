// What the configuration of the bridge plugin says.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/mac.h"
#include "cni/protocol/request.h"
#include "cni/protocol/result.h"

namespace flannel::cni {

struct BridgeConfig {
  std::string bridge;  // its name, `cni0` where none is given
  bool gateway = false;
  bool default_gateway = false;
  bool force_address = false;
  // Where the bridge has an address of another subnet and no port any more, change it.
  bool repair = false;
  bool masquerade = false;
  std::optional<std::string> masquerade_backend;
  std::uint32_t mtu = 0;  // bytes; 0 is the kernel's default
  bool hairpin = false;
  bool promiscuous = false;
  bool isolated = false;
  bool check_mac_spoofing = false;
  bool detect_duplicates = false;    // IPv6's duplicate address detection
  bool container_interface = true;   // set it up and wait for it
  std::uint16_t vlan = 0;            // 0 for none
  std::vector<std::uint16_t> trunk;  // VLANs passed on tagged, sorted
  bool trunk_given = false;          // also where it is empty
  bool keep_default_vlan = false;
  std::optional<Mac> mac;  // of the container's interface
  std::string ipam;        // the plugin that gives addresses; empty for none
  ResultDns dns;
};

// The fields that it reads, beside those that every plugin has.
inline constexpr std::string_view kBridgeFields[] = {"bridge",
                                                     "isGateway",
                                                     "isDefaultGateway",
                                                     "forceAddress",
                                                     "ipMasq",
                                                     "ipMasqBackend",
                                                     "mtu",
                                                     "hairpinMode",
                                                     "promiscMode",
                                                     "vlan",
                                                     "vlanTrunk",
                                                     "preserveDefaultVlan",
                                                     "macspoofchk",
                                                     "portIsolation",
                                                     "enabledad",
                                                     "disableContainerInterface",
                                                     "repairBridge"};

// Throws CniError for what is not possible, before anything is done.
BridgeConfig parse_bridge(const Request& request);

}  // namespace flannel::cni

// nftables: the kernel's word for what is there, and the program nft to change it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/netlink_message.h"

namespace flannel::cni {

// Chains are named as for the program: `ip cni_hostport hostports`.
class Nft {
 public:
  static bool installed();

  // Commands, all of them or none. Throws CniError with the program's own words.
  static void change(const std::string& commands);

  // Asks the kernel; false where that has no nftables. Throws std::system_error.
  static bool has_chain(const std::string& chain);

  // `delete rule CHAIN handle N`, a line for each rule of a chain whose comment `matches`; nothing
  // where there is no such chain. Throws std::system_error.
  static std::string deletions(const std::string& chain,
                               const std::function<bool(std::string_view comment)>& matches);
  // How many such rules there are.
  static std::size_t count(const std::string& chain,
                           const std::function<bool(std::string_view comment)>& matches);
};

struct NftRule {
  std::string table, chain, comment;
  std::uint64_t handle = 0;
  bool operator==(const NftRule&) const = default;
};

// The attributes of a rule as the kernel lists it (NFT_MSG_NEWRULE, behind its header).
NftRule decode_nft_rule(netlink::Bytes attributes);

// The backend where none is asked for: `iptables`, unless only nft is there.
std::string preferred_backend();

}  // namespace flannel::cni

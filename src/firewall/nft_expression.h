// Expressions of a rule as the kernel lists them: what packets go through, one behind the other.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "kernel/netlink_message.h"

namespace flannel {

// A name and its attributes, by their type; the bytes are the message's.
struct NftExpression {
  std::string_view name;
  netlink::Bytes data;

  std::optional<netlink::Bytes> bytes(std::uint16_t type) const;
  bool has(std::uint16_t type) const { return bytes(type).has_value(); }
  // In the host's order.
  std::optional<std::uint32_t> number(std::uint16_t type) const;
  // The bytes of an attribute that holds a value.
  std::optional<netlink::Bytes> value(std::uint16_t type) const;
  // The attributes within one.
  NftExpression nested(std::uint16_t type) const;
  // That it comes to, with `code` in the host's order (NF_ACCEPT, NFT_JUMP, …), where it is an
  // immediate verdict.
  std::optional<std::uint32_t> verdict() const;
};

// What NFTA_RULE_EXPRESSIONS holds.
std::vector<NftExpression> decode_nft_list(netlink::Bytes expressions);

}  // namespace flannel

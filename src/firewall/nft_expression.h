// What messages of nf_tables hold: attributes, which may hold others, and the expressions of rules,
// what packets go through, one behind the other.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "kernel/netlink_message.h"

namespace flannel {

// Attributes by their type; the bytes are the message's. Numbers are returned in the host's order.
struct NftAttributes {
  netlink::Bytes data;

  std::optional<netlink::Bytes> bytes(std::uint16_t type) const;
  bool has(std::uint16_t type) const { return bytes(type).has_value(); }
  std::optional<std::uint32_t> number(std::uint16_t type) const;
  std::optional<std::uint64_t> long_number(std::uint16_t type) const;
  // Empty where there is none.
  std::string_view text(std::uint16_t type) const;
  // The comment in what nft keeps there (nft_comment); empty where there is none.
  std::string_view comment(std::uint16_t type) const;
  // The bytes of an attribute that holds a value.
  std::optional<netlink::Bytes> value(std::uint16_t type) const;
  // The attributes within one; none where there is none.
  NftAttributes nested(std::uint16_t type) const;
};

struct NftExpression : NftAttributes {
  std::string_view name;

  // That it comes to, with `code` in the host's order (NF_ACCEPT, NFT_JUMP, …), where it is an
  // immediate verdict.
  std::optional<std::uint32_t> verdict() const;
};

// What NFTA_RULE_EXPRESSIONS holds.
std::vector<NftExpression> decode_nft_list(netlink::Bytes expressions);

}  // namespace flannel

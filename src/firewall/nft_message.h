// What all messages of nf_tables have in common.
#pragma once

#include <arpa/inet.h>
#include <linux/netfilter.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/ip.h"
#include "kernel/netlink_message.h"
#include "kernel/nfnetlink.h"

namespace flannel {

// `message` is an NFT_MSG_….
constexpr std::uint16_t nft_message_type(int message) {
  return netlink::nfnetlink_type(NFNL_SUBSYS_NFTABLES, message);
}

// `family` is an NFPROTO_….
constexpr nfgenmsg nft_header(std::uint8_t family) {
  return netlink::nfnetlink_header(family);
}

// The attributes behind the header of a message.
inline std::optional<netlink::Bytes> nft_attributes(const netlink::MessageView& message) {
  netlink::Bytes rest = message.payload;
  return netlink::take_header<nfgenmsg>(rest) ? std::optional(rest) : std::nullopt;
}

constexpr std::uint8_t nft_family(Family family) {
  return family == Family::v4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
}

// Numbers are in network order, but for what is compared with packets.
inline void put_nft_u32(netlink::Batch& batch, std::uint16_t type, std::uint32_t value) {
  batch.put_u32(type, htonl(value));
}
inline std::optional<std::uint32_t> nft_u32(const netlink::Attribute& attribute) {
  const std::optional<std::uint32_t> value = attribute.u32();
  return value ? std::optional(ntohl(*value)) : std::nullopt;
}
inline std::optional<std::uint64_t> nft_u64(const netlink::Attribute& attribute) {
  std::uint64_t value = 0;
  for (const std::uint8_t byte : attribute.data) {
    value = value << 8 | byte;
  }
  return attribute.data.size() == sizeof value ? std::optional(value) : std::nullopt;
}

// nft keeps comments in what the kernel only stores for it: a type, a length and that many bytes,
// as often as there is something to keep. Those of rules, chains and tables have one type
// (libnftnl's NFTNL_UDATA_RULE_COMMENT, _CHAIN_COMMENT, _TABLE_COMMENT).
std::string_view nft_comment(netlink::Bytes userdata);
// `type` of the attribute; no longer than 250 bytes.
void put_nft_comment(netlink::Batch& batch, std::uint16_t type, std::string_view comment);

}  // namespace flannel

#include "firewall/nft_expression.h"

#include <arpa/inet.h>  // before the kernel's headers, which then leave its names alone
#include <linux/netfilter/nf_tables.h>

#include "firewall/nft_message.h"

namespace flannel {

using netlink::Attribute;
using netlink::Bytes;

std::optional<Bytes> NftAttributes::bytes(std::uint16_t type) const {
  const std::optional<Attribute> found = netlink::find_attribute(data, type);
  return found ? std::optional(found->data) : std::nullopt;
}

std::optional<std::uint32_t> NftAttributes::number(std::uint16_t type) const {
  const std::optional<Bytes> found = bytes(type);
  return found ? nft_u32({type, *found}) : std::nullopt;
}

std::optional<std::uint64_t> NftAttributes::long_number(std::uint16_t type) const {
  const std::optional<Bytes> found = bytes(type);
  return found ? nft_u64({type, *found}) : std::nullopt;
}

std::string_view NftAttributes::text(std::uint16_t type) const {
  return Attribute{type, bytes(type).value_or(Bytes())}.text();
}

std::string_view NftAttributes::comment(std::uint16_t type) const {
  return nft_comment(bytes(type).value_or(Bytes()));
}

std::optional<Bytes> NftAttributes::value(std::uint16_t type) const {
  return nested(type).bytes(NFTA_DATA_VALUE);
}

NftAttributes NftAttributes::nested(std::uint16_t type) const {
  return {bytes(type).value_or(Bytes())};
}

std::optional<std::uint32_t> NftExpression::verdict() const {
  return name == "immediate" && number(NFTA_IMMEDIATE_DREG) == NFT_REG_VERDICT
             ? nested(NFTA_IMMEDIATE_DATA).nested(NFTA_DATA_VERDICT).number(NFTA_VERDICT_CODE)
             : std::nullopt;
}

std::vector<NftExpression> decode_nft_list(Bytes expressions) {
  std::vector<NftExpression> out;
  while (const std::optional<Attribute> element = netlink::next_attribute(expressions)) {
    const NftAttributes fields{element->data};
    out.push_back({fields.nested(NFTA_EXPR_DATA), fields.text(NFTA_EXPR_NAME)});
  }
  return out;
}

}  // namespace flannel

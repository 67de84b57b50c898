#include "firewall/forward_drops.h"

#include <arpa/inet.h>  // before the kernel's headers, which then leave its names alone
#include <fmt/format.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>

#include <algorithm>
#include <array>
#include <bit>
#include <optional>
#include <set>
#include <string_view>

#include "base/printable.h"
#include "firewall/iptables_legacy.h"
#include "firewall/names.h"
#include "firewall/nft_expression.h"
#include "firewall/nft_message.h"
#include "kernel/netlink_socket.h"

namespace flannel {
namespace {

using netlink::Attribute;
using netlink::Batch;
using netlink::Bytes;
using netlink::MessageView;

struct BaseChain {
  std::uint8_t family = 0;  // NFPROTO_…
  std::string table, name;
  bool drops = false;  // by its policy
};

// Base chains of one family in the way of forwarded packets.
std::vector<BaseChain> list_chains(netlink::RequestSocket& socket, std::uint8_t family) {
  Batch list;
  list.begin(nft_message_type(NFT_MSG_GETCHAIN), 0, nft_header(family));
  const auto take = [&](const MessageView& message) -> std::optional<BaseChain> {
    const std::optional<Bytes> attributes = nft_attributes(message);
    const NftAttributes fields{attributes.value_or(Bytes())};
    if (fields.nested(NFTA_CHAIN_HOOK).number(NFTA_HOOK_HOOKNUM) != NF_INET_FORWARD) {
      return std::nullopt;
    }
    return BaseChain{family, std::string(fields.text(NFTA_CHAIN_TABLE)),
                     std::string(fields.text(NFTA_CHAIN_NAME)),
                     fields.number(NFTA_CHAIN_POLICY) == NF_DROP};
  };
  return socket.dump<BaseChain>(list, "chains", take);
}

// Whether a comparison behind what loads an address or a device's name is one with what pods have.
class NamesPods {
 public:
  NamesPods(const PodPackets& pods, Family family) : pods_(pods), family_(family) {}

  bool take(const NftExpression& expression) {
    if (expression.name == "cmp") {
      return is_of_pods(expression.value(NFTA_CMP_DATA).value_or(Bytes()));
    }
    if (expression.name == "bitwise") {
      mask_ = mask_ == 0 ? 0 : ones(expression.value(NFTA_BITWISE_MASK).value_or(Bytes()));
      return false;
    }
    const std::uint32_t key = expression.number(NFTA_META_KEY).value_or(NFT_META_MARK);
    device_ = expression.name == "meta" && (key == NFT_META_IIFNAME || key == NFT_META_OIFNAME);
    mask_ = loads_address(expression) ? 8 * expression.number(NFTA_PAYLOAD_LEN).value_or(0) : 0;
    return false;
  }

 private:
  bool loads_address(const NftExpression& expression) const {
    const std::uint32_t offset = expression.number(NFTA_PAYLOAD_OFFSET).value_or(0);
    return expression.name == "payload" &&
           expression.number(NFTA_PAYLOAD_BASE) == NFT_PAYLOAD_NETWORK_HEADER &&
           (family_ == Family::v4 ? offset == 12 || offset == 16 : offset == 8 || offset == 24);
  }
  static std::uint32_t ones(Bytes mask) {
    std::uint32_t bits = 0;
    for (const std::uint8_t byte : mask) {
      bits += static_cast<std::uint32_t>(std::popcount(byte));
    }
    return bits;
  }
  bool is_of_pods(Bytes value) const {
    std::array<std::uint8_t, 16> address{};
    const std::size_t size = family_ == Family::v4 ? 4 : 16;
    if (device_) {
      return pods_.pass(Attribute{0, value}.text());
    }
    if (value.size() > size || mask_ == 0 || mask_ > 8 * size) {
      return false;
    }
    std::ranges::copy(value, address.begin());
    const Prefix prefix{*IpAddr::from_bytes(std::span(address).first(size)),
                        static_cast<std::uint8_t>(mask_)};
    return prefix == prefix.masked() && pods_.lie_in(prefix);
  }

  const PodPackets& pods_;
  Family family_;
  // What was loaded last: a device's name, or so many bits of an address.
  bool device_ = false;
  std::uint32_t mask_ = 0;
};

bool drops(const NftExpression& expression) {
  return expression.name == "reject" || expression.verdict() == NF_DROP ||
         (expression.name == "target" && expression.text(NFTA_TARGET_NAME) == "REJECT");
}

// Of the chain alone, or of its whole table.
std::vector<ForwardRule> list_rules(netlink::RequestSocket& socket, const BaseChain& chain,
                                    bool alone, Family family, const PodPackets& pods) {
  Batch list;
  list.begin(nft_message_type(NFT_MSG_GETRULE), 0, nft_header(chain.family));
  list.put_text(NFTA_RULE_TABLE, chain.table);
  if (alone) {
    list.put_text(NFTA_RULE_CHAIN, chain.name);
  }
  const auto take = [&](const MessageView& message) -> std::optional<ForwardRule> {
    const std::optional<Bytes> attributes = nft_attributes(message);
    const bool is_its =
        attributes && NftAttributes{*attributes}.text(NFTA_RULE_TABLE) == chain.table;
    return is_its ? std::optional(decode_forward_rule(*attributes, family, chain.name, pods))
                  : std::nullopt;
  };
  return socket.dump<ForwardRule>(list, "rules", take);
}

// A table may have thousands of rules: it is listed where the chain by itself drops.
bool may_drop(netlink::RequestSocket& socket, const BaseChain& chain, Family family,
              const PodPackets& pods) {
  return may_drop(list_rules(socket, chain, true, family, pods), chain.drops) &&
         may_drop(list_rules(socket, chain, false, family, pods), chain.drops);
}

std::string_view family_text(std::uint8_t family) {
  return family == NFPROTO_INET ? "inet" : family == NFPROTO_IPV4 ? "ip" : "ip6";
}

std::string sentence(const Prefix& network, const std::string& chain) {
  return fmt::format(
      "{}: {} may drop forwarded packets of pods, whatever other chains accept: let "
      "it accept {}",
      to_text(network.family()), printable(chain), network.to_text());
}

}  // namespace

ForwardRule decode_forward_rule(Bytes attributes, Family family, std::string_view chain,
                                const PodPackets& pods) {
  const NftAttributes fields{attributes};
  const std::string_view its_chain = fields.text(NFTA_RULE_CHAIN);
  ForwardRule rule{.of_chain = its_chain == chain};
  NamesPods names_pods(pods, family);
  bool conditional = false;
  for (const NftExpression& each :
       decode_nft_list(fields.bytes(NFTA_RULE_EXPRESSIONS).value_or(Bytes()))) {
    const NftAttributes verdict = each.nested(NFTA_IMMEDIATE_DATA).nested(NFTA_DATA_VERDICT);
    rule.jumps_to_us = rule.jumps_to_us || verdict.text(NFTA_VERDICT_CHAIN) == pods.our_chain;
    rule.drops_all = rule.drops_all || (!conditional && drops(each));
    rule.names_pods = (names_pods.take(each) && its_chain != pods.our_chain) || rule.names_pods;
    conditional = conditional || (each.name != "counter" && each.name != "log");
  }
  return rule;
}

std::vector<std::string> find_forward_drops(std::span<const Prefix> networks,
                                            std::span<const Dev> devices, std::string_view suffix) {
  netlink::RequestSocket socket(NETLINK_NETFILTER);
  const IptablesPlace ours = iptables_places(suffix)[1];
  const PodPackets pods{networks, devices, ours.chain};
  std::set<std::string> found;
  for (const Prefix& network : networks) {
    const Family family = network.family();
    for (const std::uint8_t nft : {nft_family(family), std::uint8_t{NFPROTO_INET}}) {
      for (const BaseChain& chain : list_chains(socket, nft)) {
        if (chain.table != nft_table_name(family, suffix) &&
            may_drop(socket, chain, family, pods)) {
          found.insert(sentence(network, fmt::format("chain {} of table {} {}", chain.name,
                                                     family_text(nft), chain.table)));
        }
      }
    }
    const std::optional<LegacyTable> legacy = read_legacy_table(family, "filter");
    if (legacy && may_drop(legacy_forward_rules(family, *legacy, pods), false)) {
      found.insert(sentence(network, "chain FORWARD of the legacy iptables"));
    }
  }
  return {found.begin(), found.end()};
}

}  // namespace flannel

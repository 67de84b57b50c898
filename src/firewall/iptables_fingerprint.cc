#include "firewall/iptables_fingerprint.h"

#include <linux/netfilter/nf_tables.h>

#include <optional>
#include <string_view>

#include "firewall/iptables_legacy.h"
#include "firewall/iptables_rules.h"
#include "firewall/nft_message.h"
#include "firewall/nft_rule.h"

namespace flannel {
namespace {

using netlink::Attribute;
using netlink::Batch;
using netlink::Bytes;
using netlink::MessageView;

bool has_chain(netlink::RequestSocket& socket, const Ruleset::Key& key, std::string_view chain) {
  Batch ask;
  ask.ask(nft_message_type(NFT_MSG_GETCHAIN), nft_header(nft_family(key.family)));
  ask.put_text(NFTA_CHAIN_TABLE, key.table);
  ask.put_text(NFTA_CHAIN_NAME, chain);
  return socket.transact(ask)[0].ok();
}

void append(std::string& out, Bytes bytes) {
  out += fmt::format("{}:", bytes.size());
  out.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

// Whether a text is one of the attributes, or lies within one, down to the verdict of a rule.
bool has_text(Bytes attributes, std::string_view text, int depth = 2) {
  while (const std::optional<Attribute> attribute = netlink::next_attribute(attributes)) {
    if (attribute->text() == text || (depth > 0 && has_text(attribute->data, text, depth - 1))) {
      return true;
    }
  }
  return false;
}

struct NftRuleBytes {
  std::string bytes;
  bool concerns_us = false;
};

// The expressions of a rule but what its counter counts.
void take_expressions(NftRuleBytes& out, Bytes list, const IptablesPlace& place) {
  while (const std::optional<Attribute> element = netlink::next_attribute(list)) {
    std::string_view name;
    Bytes rest = element->data;
    while (const std::optional<Attribute> part = netlink::next_attribute(rest)) {
      if (part->type == NFTA_EXPR_NAME) {
        name = part->text();
      }
      if (part->type == NFTA_EXPR_NAME || name != "counter") {
        append(out.bytes, part->data);
      }
    }
    out.concerns_us = out.concerns_us ||
                      (name == "immediate" && has_text(element->data, place.chain, 3)) ||
                      (name == "match" && has_text(element->data, place.comment));
  }
}

std::vector<NftRuleBytes> list_rules(netlink::RequestSocket& socket, const Ruleset::Key& key,
                                     std::string_view chain, const IptablesPlace& place) {
  if (!has_chain(socket, key, chain)) {
    return {};
  }
  Batch list;
  list.begin(nft_message_type(NFT_MSG_GETRULE), 0, nft_header(nft_family(key.family)));
  list.put_text(NFTA_RULE_TABLE, key.table);
  list.put_text(NFTA_RULE_CHAIN, chain);
  return socket.dump<NftRuleBytes>(
      list, "rules", [&](const MessageView& message) -> std::optional<NftRuleBytes> {
        Bytes rest = message.payload;
        if (!netlink::take_header<nfgenmsg>(rest)) {
          return std::nullopt;
        }
        const NftRule rule = decode_nft_rule(rest);
        if (rule.table != key.table || rule.chain != chain) {
          return std::nullopt;  // old kernels list the rules of all chains
        }
        NftRuleBytes out;
        while (const std::optional<Attribute> attribute = netlink::next_attribute(rest)) {
          if (attribute->type == NFTA_RULE_EXPRESSIONS) {
            take_expressions(out, attribute->data, place);
          } else if (attribute->type == NFTA_RULE_USERDATA) {
            append(out.bytes, attribute->data);
          }
        }
        out.concerns_us = out.concerns_us || rule.comment == place.comment;
        return out;
      });
}

OurRules our_nft_rules(netlink::RequestSocket& socket, const Ruleset::Key& key,
                       const IptablesPlace& place) {
  OurRules out;
  for (const NftRuleBytes& rule : list_rules(socket, key, place.from, place)) {
    if (rule.concerns_us) {
      out.bytes += "elsewhere " + rule.bytes;
      ++out.jumps;
    }
  }
  if (has_chain(socket, key, place.chain)) {
    out.bytes += "chain ";
    for (const NftRuleBytes& rule : list_rules(socket, key, place.chain, place)) {
      out.bytes += rule.bytes;
      ++out.rules;
    }
  }
  return out;
}

}  // namespace

bool IptablesFingerprint::may_be(const std::vector<std::string>& lines) const {
  const auto fits = [&](const OurRules& part) {
    // The first is the chain's own, the others are of it or lead there.
    return !part.bytes.empty() && part.jumps == 1 && part.rules + part.jumps + 1 == lines.size();
  };
  return lines.empty() ? empty() : fits(nft) || fits(legacy);
}

IptablesFingerprint read_iptables_fingerprint(netlink::RequestSocket& socket,
                                              const Ruleset::Key& key) {
  const IptablesPlace place = iptables_place(key);
  IptablesFingerprint out;
  out.nft = our_nft_rules(socket, key, place);
  if (const std::optional<LegacyTable> table = read_legacy_table(key.family, key.table)) {
    out.legacy = our_legacy_rules(key.family, place, *table);
  }
  return out;
}

}  // namespace flannel

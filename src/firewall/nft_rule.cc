#include "firewall/nft_rule.h"

#include <arpa/inet.h>  // before the kernel's headers, which then leave its names alone
#include <fmt/format.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <span>
#include <vector>

#include "base/printable.h"
#include "firewall/nft_expression.h"
#include "firewall/nft_message.h"

namespace flannel {
namespace {

using netlink::Batch;
using netlink::Bytes;
using Verdict = FirewallRule::Verdict;

constexpr std::uint32_t kRegister = NFT_REG_1;

// Where in the header of its family an address is.
std::uint32_t offset_of(Family family, bool source) {
  const std::uint32_t first = family == Family::v4 ? 12 : 8;
  const std::uint32_t size = family == Family::v4 ? 4 : 16;
  return first + (source ? 0 : size);
}

class Expression {
 public:
  Expression(Batch& batch, std::string_view name)
      : batch_(batch), element_(batch.nest(NFTA_LIST_ELEM)) {
    batch_.put_text(NFTA_EXPR_NAME, name);
    data_ = batch_.nest(NFTA_EXPR_DATA);
  }
  Expression(const Expression&) = delete;
  Expression& operator=(const Expression&) = delete;
  ~Expression() {
    batch_.end_nest(data_);
    batch_.end_nest(element_);
  }

  void put(std::uint16_t type, std::uint32_t value) { put_nft_u32(batch_, type, value); }
  void put_value(std::uint16_t type, Bytes value) {
    const std::size_t nest = batch_.nest(type);
    batch_.put_bytes(NFTA_DATA_VALUE, value);
    batch_.end_nest(nest);
  }
  void put_verdict(std::int32_t code) {
    const std::size_t data = batch_.nest(NFTA_IMMEDIATE_DATA);
    const std::size_t verdict = batch_.nest(NFTA_DATA_VERDICT);
    put(NFTA_VERDICT_CODE, static_cast<std::uint32_t>(code));
    batch_.end_nest(verdict);
    batch_.end_nest(data);
  }

 private:
  Batch& batch_;
  std::size_t element_, data_ = 0;
};

void put_compare(Batch& batch, bool negated, Bytes value) {
  Expression compare(batch, "cmp");
  compare.put(NFTA_CMP_SREG, kRegister);
  compare.put(NFTA_CMP_OP, negated ? NFT_CMP_NEQ : NFT_CMP_EQ);
  compare.put_value(NFTA_CMP_DATA, value);
}

void put_mark(Batch& batch, std::uint32_t mark) {
  {
    Expression load(batch, "meta");
    load.put(NFTA_META_KEY, NFT_META_MARK);
    load.put(NFTA_META_DREG, kRegister);
  }
  put_compare(batch, false, Bytes(reinterpret_cast<const std::uint8_t*>(&mark), sizeof mark));
}

std::vector<std::uint8_t> mask_of(std::size_t size, unsigned length) {
  std::vector<std::uint8_t> mask(size);
  for (unsigned bit = 0; bit < length; ++bit) {
    mask[bit / 8] = static_cast<std::uint8_t>(mask[bit / 8] | 0x80U >> bit % 8);
  }
  return mask;
}

// As nft: of a network of whole bytes these alone are loaded, any other is masked.
void put_match(Batch& batch, const PrefixMatch& match, bool source) {
  const Prefix& prefix = match.prefix;
  const bool whole_bytes = prefix.length % 8 == 0;
  const std::size_t size = whole_bytes ? prefix.length / 8U : prefix.ip.size();
  {
    Expression load(batch, "payload");
    load.put(NFTA_PAYLOAD_DREG, kRegister);
    load.put(NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
    load.put(NFTA_PAYLOAD_OFFSET, offset_of(prefix.family(), source));
    load.put(NFTA_PAYLOAD_LEN, static_cast<std::uint32_t>(size));
  }
  if (!whole_bytes) {
    Expression mask(batch, "bitwise");
    mask.put(NFTA_BITWISE_SREG, kRegister);
    mask.put(NFTA_BITWISE_DREG, kRegister);
    mask.put(NFTA_BITWISE_LEN, static_cast<std::uint32_t>(size));
    mask.put_value(NFTA_BITWISE_MASK, mask_of(size, prefix.length));
    mask.put_value(NFTA_BITWISE_XOR, std::vector<std::uint8_t>(size));
  }
  put_compare(batch, match.negated, Bytes(prefix.ip.bytes()).first(size));
}

void put_verdict(Batch& batch, Verdict verdict) {
  if (verdict == Verdict::masquerade || verdict == Verdict::masquerade_fully_random) {
    Expression masquerade(batch, "masq");
    if (verdict == Verdict::masquerade_fully_random) {
      masquerade.put(NFTA_MASQ_FLAGS, NF_NAT_RANGE_PROTO_RANDOM_FULLY);
    }
    return;
  }
  Expression immediate(batch, "immediate");
  immediate.put(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
  immediate.put_verdict(verdict == Verdict::accept ? NF_ACCEPT : NFT_RETURN);
}

// ---------------------------------------------------------------------------------------------

// The compare of what `target` was loaded into; its value, of `size` bytes.
struct Comparison {
  bool negated = false;
  Bytes value;
};
std::optional<Comparison> decode_compare(const NftExpression& expression, std::uint32_t target,
                                         std::size_t size) {
  const std::optional<std::uint32_t> operation = expression.number(NFTA_CMP_OP);
  const std::optional<Bytes> value = expression.value(NFTA_CMP_DATA);
  if (expression.name != "cmp" || expression.number(NFTA_CMP_SREG) != target ||
      (operation != NFT_CMP_EQ && operation != NFT_CMP_NEQ) || !value || value->size() != size) {
    return std::nullopt;
  }
  return Comparison{operation == NFT_CMP_NEQ, *value};
}

// The length of a mask of leading ones that leaves the rest as it is.
std::optional<unsigned> decode_mask(const NftExpression& expression, std::uint32_t target,
                                    std::size_t size) {
  const std::optional<Bytes> mask = expression.value(NFTA_BITWISE_MASK);
  const std::optional<Bytes> flipped = expression.value(NFTA_BITWISE_XOR);
  if (expression.number(NFTA_BITWISE_SREG) != target ||
      expression.number(NFTA_BITWISE_DREG) != target || !mask || mask->size() != size || !flipped ||
      expression.number(NFTA_BITWISE_OP).value_or(0) != 0 ||  // NFT_BITWISE_BOOL
      std::any_of(flipped->begin(), flipped->end(), [](std::uint8_t byte) { return byte != 0; })) {
    return std::nullopt;
  }
  unsigned length = 0;
  for (const std::uint8_t byte : *mask) {
    length += static_cast<unsigned>(std::popcount(byte));
  }
  return std::ranges::equal(*mask, mask_of(size, length)) ? std::optional(length) : std::nullopt;
}

class RuleDecoder {
 public:
  RuleDecoder(std::span<const NftExpression> expressions, Family family)
      : rest_(expressions), family_(family) {}

  std::optional<FirewallRule> rule() {
    while (rest_.size() > 1) {
      const std::string_view name = rest_.front().name;
      if (!(name == "meta" ? take_mark() : name == "payload" && take_match())) {
        return std::nullopt;
      }
    }
    return rest_.size() == 1 && take_verdict() ? std::optional(rule_) : std::nullopt;
  }

 private:
  NftExpression take() {
    const NftExpression front = rest_.front();
    rest_ = rest_.subspan(1);
    return front;
  }

  bool take_mark() {
    const NftExpression load = take();
    const std::optional<std::uint32_t> target = load.number(NFTA_META_DREG);
    if (load.number(NFTA_META_KEY) != NFT_META_MARK || !target || rule_.mark != 0 || rule_.source ||
        rule_.destination) {
      return false;
    }
    const std::optional<Comparison> compare = decode_compare(take(), *target, sizeof rule_.mark);
    if (!compare || compare->negated) {
      return false;
    }
    std::memcpy(&rule_.mark, compare->value.data(), sizeof rule_.mark);
    return rule_.mark != 0;
  }

  bool take_match() {
    const NftExpression load = take();
    const std::optional<std::uint32_t> target = load.number(NFTA_PAYLOAD_DREG);
    const std::size_t size = load.number(NFTA_PAYLOAD_LEN).value_or(0);
    const std::uint32_t offset = load.number(NFTA_PAYLOAD_OFFSET).value_or(0);
    std::array<std::uint8_t, 16> address{};
    const std::size_t address_size = family_ == Family::v4 ? 4 : 16;
    if (load.number(NFTA_PAYLOAD_BASE) != NFT_PAYLOAD_NETWORK_HEADER || !target || size == 0 ||
        size > address_size) {
      return false;
    }
    unsigned length = static_cast<unsigned>(8 * size);
    if (rest_.front().name == "bitwise") {
      const std::optional<unsigned> mask = decode_mask(take(), *target, size);
      if (!mask || *mask == 0 || rest_.empty()) {
        return false;
      }
      length = *mask;
    }
    const std::optional<Comparison> compare = decode_compare(take(), *target, size);
    if (!compare) {
      return false;
    }
    std::ranges::copy(compare->value, address.begin());
    const Prefix prefix{*IpAddr::from_bytes(std::span(address).first(address_size)),
                        static_cast<std::uint8_t>(length)};
    return prefix == prefix.masked() && keep({prefix, compare->negated}, offset);
  }

  // In the order that their text has.
  bool keep(const PrefixMatch& match, std::uint32_t offset) {
    if (offset == offset_of(family_, true) && !rule_.source && !rule_.destination) {
      rule_.source = match;
      return true;
    }
    if (offset == offset_of(family_, false) && !rule_.destination) {
      rule_.destination = match;
      return true;
    }
    return false;
  }

  bool take_verdict() {
    const NftExpression last = take();
    if (last.name == "masq") {
      const std::uint32_t flags = last.number(NFTA_MASQ_FLAGS).value_or(0);
      rule_.verdict = flags == 0 ? Verdict::masquerade : Verdict::masquerade_fully_random;
      return (flags == 0 || flags == NF_NAT_RANGE_PROTO_RANDOM_FULLY) &&
             !last.has(NFTA_MASQ_REG_PROTO_MIN) && !last.has(NFTA_MASQ_REG_PROTO_MAX);
    }
    const std::optional<std::uint32_t> code = last.verdict();
    constexpr std::uint32_t kReturn = static_cast<std::uint32_t>(NFT_RETURN);
    rule_.verdict = code == kReturn ? Verdict::return_to_caller : Verdict::accept;
    return code == NF_ACCEPT || code == kReturn;
  }

  std::span<const NftExpression> rest_;
  Family family_;
  FirewallRule rule_;
};

}  // namespace

NftRule decode_nft_rule(Bytes attributes) {
  const NftAttributes fields{attributes};
  return {.table = std::string(fields.text(NFTA_RULE_TABLE)),
          .chain = std::string(fields.text(NFTA_RULE_CHAIN)),
          .comment = std::string(fields.comment(NFTA_RULE_USERDATA)),
          .handle = fields.long_number(NFTA_RULE_HANDLE).value_or(0)};
}

void put_nft_expressions(Batch& batch, const FirewallRule& rule) {
  const std::size_t list = batch.nest(NFTA_RULE_EXPRESSIONS);
  if (rule.mark != 0) {
    put_mark(batch, rule.mark);
  }
  if (rule.source) {
    put_match(batch, *rule.source, true);
  }
  if (rule.destination) {
    put_match(batch, *rule.destination, false);
  }
  put_verdict(batch, rule.verdict);
  batch.end_nest(list);
}

std::optional<FirewallRule> decode_nft_expressions(Bytes expressions, Family family) {
  const std::vector<NftExpression> list = decode_nft_list(expressions);
  return RuleDecoder(list, family).rule();
}

std::string nft_rule_line(Bytes attributes, Family family) {
  const NftAttributes fields{attributes};
  const Bytes expressions = fields.bytes(NFTA_RULE_EXPRESSIONS).value_or(Bytes());
  const std::string_view comment = fields.comment(NFTA_RULE_USERDATA);
  std::string line;
  if (const std::optional<FirewallRule> rule = decode_nft_expressions(expressions, family)) {
    line = nft_text(*rule);
  } else {
    line = "# another rule, of";
    for (const NftExpression& expression : decode_nft_list(expressions)) {
      line += fmt::format(" {}", printable(expression.name));
    }
    line = printable(line);
  }
  return comment.empty() ? line : fmt::format("{} comment \"{}\"", line, printable(comment));
}

}  // namespace flannel

// Fuzzes what is read of nf_tables: any bytes are read as something or nothing, never past their
// end, and what is taken for a rule of ours is that rule again when it is written.
#include <array>
#include <cstdlib>

#include "firewall/forward_drops.h"
#include "firewall/names.h"
#include "firewall/nft_rule.h"
#include "firewall/nft_table.h"
#include "firewall/nft_tables.h"

namespace {

using namespace flannel;
using netlink::Bytes;

void expect(bool holds) {
  if (!holds) {
    std::abort();
  }
}

void check_rule(Bytes expressions, Family family) {
  const std::optional<FirewallRule> rule = decode_nft_expressions(expressions, family);
  if (!rule) {
    return;
  }
  expect(parse_nft_rule(nft_text(*rule)) == rule);
  netlink::Batch batch;
  batch.begin(0, 0, nlattr{});
  put_nft_expressions(batch, *rule);
  Bytes written = batch.finish(1).subspan(sizeof(nlmsghdr) + sizeof(nlattr));
  expect(decode_nft_expressions(netlink::next_attribute(written)->data, family) == rule);
}

void check_table(Bytes attributes) {
  const Ruleset::Key key = nft_key(Family::v4);
  NftTable table = decode_nft_table(attributes).table;
  table.chains.push_back(decode_nft_chain(attributes).chain);
  table.chains.back().rules.push_back(nft_rule_line(attributes, Family::v4));
  for (const std::string& line : nft_lines(table, key)) {
    expect(line.find('\n') == std::string::npos);
  }
  (void)plan_nft_change(key, nullptr, &table);
  (void)plan_nft_change(key, &table, nullptr);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const std::optional<FirewallRule> rule = parse_nft_rule(text)) {
    expect(nft_text(*rule) == text);
  }
  const Bytes bytes(data, size);
  check_rule(bytes, Family::v4);
  check_rule(bytes, Family::v6);
  check_table(bytes);
  const std::array networks = {*Prefix::parse("10.5.0.0/16"), *Prefix::parse("fd00:5::/48")};
  for (const Family family : kFamilies) {
    (void)decode_forward_rule(bytes, family, "FORWARD", {networks, {}, "FLANNEL-FWD"});
  }
  Bytes rest = bytes;
  while (const std::optional<netlink::MessageView> message = netlink::next_message(rest)) {
    (void)decode_nft_news(*message);
  }
  return 0;
}

#include "firewall/nft_table.h"

#include <arpa/inet.h>  // before the kernel's headers, which then leave its names alone
#include <fmt/format.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include "base/printable.h"
#include "firewall/nft_expression.h"
#include "firewall/nft_message.h"
#include "firewall/nft_rule.h"

namespace flannel {
namespace {

using netlink::Bytes;

constexpr std::size_t kMostTableComment = 200;  // NFT_USERDATA_MAXLEN is 256

// Base chains as nft prints them.
struct ChainType {
  std::string_view text, type;
  std::uint32_t hook;
  std::int32_t priority;
};
constexpr std::array kChainTypes = {
    ChainType{"type nat hook postrouting priority srcnat; policy accept;", "nat",
              NF_INET_POST_ROUTING, 100},
    ChainType{"type filter hook forward priority filter; policy accept;", "filter", NF_INET_FORWARD,
              0},
};

std::optional<std::string_view> comment_of(std::string_view line) {
  constexpr std::string_view kBefore = "comment \"";
  if (!line.starts_with(kBefore) || !line.ends_with('"') || line.size() <= kBefore.size() ||
      line.size() > kMostTableComment) {
    return std::nullopt;
  }
  return line.substr(kBefore.size(), line.size() - kBefore.size() - 1);
}

std::string comment_line(std::string_view comment) {
  return fmt::format("comment \"{}\"", printable(comment));
}

// Of a base chain, by the attributes of its message.
std::string type_line(const NftAttributes& chain) {
  const NftAttributes hook = chain.nested(NFTA_CHAIN_HOOK);
  const std::string_view type = chain.text(NFTA_CHAIN_TYPE);
  const std::uint32_t number = hook.number(NFTA_HOOK_HOOKNUM).value_or(0);
  const auto priority = static_cast<std::int32_t>(hook.number(NFTA_HOOK_PRIORITY).value_or(0));
  const std::uint32_t policy = chain.number(NFTA_CHAIN_POLICY).value_or(NF_ACCEPT);
  const std::uint32_t flags = chain.number(NFTA_CHAIN_FLAGS).value_or(0);
  const auto* known = std::ranges::find_if(kChainTypes, [&](const ChainType& each) {
    return each.type == type && each.hook == number && each.priority == priority;
  });
  if (known != kChainTypes.end() && policy == NF_ACCEPT && flags <= NFT_CHAIN_BASE) {
    return std::string(known->text);
  }
  return fmt::format("# type {} hook {} priority {}; policy {}; flags {:#x}", printable(type),
                     number, priority, policy, flags);
}

}  // namespace

std::vector<std::string> nft_lines(const NftTable& table, const Ruleset::Key& key) {
  std::vector<std::string> out = {
      fmt::format("table {} {} {{", key.family == Family::v4 ? "ip" : "ip6", key.table)};
  for (const std::string& line : table.head) {
    out.push_back("\t" + line);
  }
  for (const NftTable::Chain& chain : table.chains) {
    if (&chain != table.chains.data()) {
      out.emplace_back();
    }
    out.push_back(fmt::format("\tchain {} {{", printable(chain.name)));
    for (const std::vector<std::string>& part : {chain.head, chain.rules}) {
      for (const std::string& line : part) {
        out.push_back("\t\t" + line);
      }
    }
    out.emplace_back("\t}");
  }
  out.emplace_back("}");
  return out;
}

NftTable parse_nft_lines(const std::vector<std::string>& lines) {
  NftTable table;
  for (const std::string& line : lines) {
    if (line.starts_with("\tchain ") && line.ends_with(" {")) {
      table.chains.push_back({line.substr(7, line.size() - 9), {}, {}});
    } else if (line.starts_with("\t\t") && !table.chains.empty()) {
      const std::string text = line.substr(2);
      const bool is_head = text.starts_with("comment ") || text.starts_with("type ");
      NftTable::Chain& chain = table.chains.back();
      (is_head ? chain.head : chain.rules).push_back(text);
    } else if (line.starts_with('\t') && table.chains.empty()) {
      table.head.push_back(line.substr(1));
    }
  }
  return table;
}

NftTable without_comments(NftTable table) {
  const auto is_comment = [](const std::string& line) { return comment_of(line).has_value(); };
  std::erase_if(table.head, is_comment);
  for (NftTable::Chain& chain : table.chains) {
    std::erase_if(chain.head, is_comment);
  }
  return table;
}

NftTableNews decode_nft_table(Bytes attributes) {
  const NftAttributes fields{attributes};
  NftTableNews news;
  news.used = fields.number(NFTA_TABLE_USE).value_or(0);
  if (const std::uint32_t flags = fields.number(NFTA_TABLE_FLAGS).value_or(0); flags != 0) {
    news.table.head.push_back(fmt::format("# flags {:#x}", flags));
  }
  if (fields.has(NFTA_TABLE_USERDATA)) {
    news.table.head.push_back(comment_line(fields.comment(NFTA_TABLE_USERDATA)));
  }
  return news;
}

NftChainNews decode_nft_chain(Bytes attributes) {
  const NftAttributes fields{attributes};
  NftChainNews news;
  news.table = fields.text(NFTA_CHAIN_TABLE);
  news.handle = fields.long_number(NFTA_CHAIN_HANDLE).value_or(0);
  news.chain.name = fields.text(NFTA_CHAIN_NAME);
  if (const std::string_view comment = fields.comment(NFTA_CHAIN_USERDATA); !comment.empty()) {
    news.chain.head.push_back(comment_line(comment));
  }
  if (!fields.text(NFTA_CHAIN_TYPE).empty()) {  // a base chain
    news.chain.head.push_back(type_line(fields));
  }
  return news;
}

namespace {

class TableChange {
 public:
  explicit TableChange(const Ruleset::Key& key) : key_(key) {
    out_.messages.begin(NFNL_MSG_BATCH_BEGIN, 0, batch_header());
    out_.about.emplace_back("the transaction");
  }

  void add_table(const NftTable& table) {
    begin(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL, "table " + key_.table);
    out_.messages.put_text(NFTA_TABLE_NAME, key_.table);
    for (const std::string& line : table.head) {
      put_comment(NFTA_TABLE_USERDATA, line);
    }
  }
  void remove_table() {
    begin(NFT_MSG_DELTABLE, 0, "table " + key_.table);
    out_.messages.put_text(NFTA_TABLE_NAME, key_.table);
  }

  void add_chain(const NftTable::Chain& chain) {
    begin(NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL, "chain " + chain.name);
    put_chain(NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME, chain.name);
    for (const std::string& line : chain.head) {
      const auto* type = std::find_if(kChainTypes.begin(), kChainTypes.end(),
                                      [&](const ChainType& each) { return each.text == line; });
      if (type != kChainTypes.end()) {
        out_.about.back() += ", " + line;
        put_type(*type);
      } else {
        put_comment(NFTA_CHAIN_USERDATA, line);
      }
    }
  }

  void add_rules(const NftTable::Chain& chain) {
    for (const std::string& line : chain.rules) {
      begin(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, line);
      put_chain(NFTA_RULE_TABLE, NFTA_RULE_CHAIN, chain.name);
      const std::optional<FirewallRule> rule = parse_nft_rule(line);
      if (rule) {
        put_nft_expressions(out_.messages, *rule);
      } else {
        unknown_ = line;
      }
    }
  }
  void remove_rules(const std::string& chain) {
    begin(NFT_MSG_DELRULE, 0, "rules of " + chain);
    put_chain(NFTA_RULE_TABLE, NFTA_RULE_CHAIN, chain);
  }

  Result<NftBatch> finish(bool commit) {
    if (!unknown_.empty()) {
      return fail("no rule of ours: {}", printable(unknown_));
    }
    // Without an end the kernel checks everything and drops it (nfnetlink_rcv_batch).
    if (commit) {
      out_.messages.begin(NFNL_MSG_BATCH_END, 0, batch_header());
      out_.about.emplace_back("the transaction");
    }
    return std::move(out_);
  }

 private:
  static nfgenmsg batch_header() {
    nfgenmsg header = nft_header(NFPROTO_UNSPEC);
    header.res_id = htons(NFNL_SUBSYS_NFTABLES);
    return header;
  }
  void begin(int message, std::uint16_t flags, std::string about) {
    out_.messages.begin(nft_message_type(message), flags, nft_header(nft_family(key_.family)));
    out_.about.push_back(std::move(about));
  }
  void put_chain(std::uint16_t table_type, std::uint16_t chain_type, const std::string& chain) {
    out_.messages.put_text(table_type, key_.table);
    out_.messages.put_text(chain_type, chain);
  }
  void put_type(const ChainType& type) {
    const std::size_t hook = out_.messages.nest(NFTA_CHAIN_HOOK);
    put_nft_u32(out_.messages, NFTA_HOOK_HOOKNUM, type.hook);
    put_nft_u32(out_.messages, NFTA_HOOK_PRIORITY, static_cast<std::uint32_t>(type.priority));
    out_.messages.end_nest(hook);
    put_nft_u32(out_.messages, NFTA_CHAIN_POLICY, NF_ACCEPT);
    out_.messages.put_text(NFTA_CHAIN_TYPE, type.type);
  }
  void put_comment(std::uint16_t type, const std::string& line) {
    if (const std::optional<std::string_view> comment = comment_of(line)) {
      put_nft_comment(out_.messages, type, *comment);
    } else {
      unknown_ = line;
    }
  }

  Ruleset::Key key_;
  NftBatch out_;
  std::string unknown_;
};

// Whether `have` is the beginning of `want` but for the rules of its chains. What others put into a
// table of ours may hold on to other of its parts (a rule that binds an anonymous chain, a map that
// jumps): it goes with the table alone.
bool stays(const NftTable* have, const NftTable* want) {
  const auto same = [](const NftTable::Chain& a, const NftTable::Chain& b) {
    return a.name == b.name && a.head == b.head;
  };
  return have != nullptr && want != nullptr && have->head == want->head &&
         std::ranges::mismatch(have->chains, want->chains, same).in1 == have->chains.end();
}

void change_chains(TableChange& change, const NftTable& have, const NftTable& want) {
  for (std::size_t i = 0; i < want.chains.size(); ++i) {
    const bool is_there = i < have.chains.size();
    if (is_there && have.chains[i].rules == want.chains[i].rules) {
      continue;
    }
    if (is_there) {
      change.remove_rules(want.chains[i].name);
    } else {
      change.add_chain(want.chains[i]);
    }
    change.add_rules(want.chains[i]);
  }
}

}  // namespace

Result<NftBatch> plan_nft_change(const Ruleset::Key& key, const NftTable* have,
                                 const NftTable* want, bool commit) {
  static const NftTable kNothing;
  TableChange change(key);
  const bool kept = stays(have, want);
  if (have != nullptr && !kept) {
    change.remove_table();
  }
  if (want != nullptr && !kept) {
    change.add_table(*want);
  }
  if (want != nullptr) {
    change_chains(change, kept ? *have : kNothing, *want);
  }
  return change.finish(commit);
}

}  // namespace flannel

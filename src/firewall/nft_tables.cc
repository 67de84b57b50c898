#include "firewall/nft_tables.h"

#include <linux/netfilter/nf_tables.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

#include "firewall/nft_message.h"
#include "firewall/nft_rule.h"
#include "firewall/plan.h"

namespace flannel {
namespace {

using netlink::Batch;
using netlink::Bytes;
using netlink::MessageView;

constexpr int kTriesAtDump = 3;
constexpr std::size_t kMostRules = 100;  // of a chain that are shown

// What the kernel lacks where it finds no such thing as a line is made of.
std::string_view missing_module(std::string_view about) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kModules = {{
      {"table ", "nf_tables"},
      {"type nat", "nft_chain_nat"},
      {"masquerade", "nft_masq"},
      {"the transaction", "nf_tables"},
  }};
  const auto* found = std::ranges::find_if(
      kModules, [&](const auto& each) { return about.find(each.first) != std::string_view::npos; });
  return found == kModules.end() ? "" : found->second;
}

OpResult refusal(const NftBatch& batch, const netlink::Refusal& refused) {
  const std::string& about = batch.about[refused.message];
  const int error = refused.answer.error;
  const std::string_view module = error == ENOENT || error == EOPNOTSUPP || error == EPROTONOSUPPORT
                                      ? missing_module(about)
                                      : "";
  return {error, fmt::format("{}: {}{}", about, refused.answer.text,
                             module.empty() ? "" : fmt::format(" (kernel module {})", module))};
}

bool may_be_outdated(const OpResult& result) {
  return result.error == ENOENT || result.error == EEXIST || result.error == EBUSY;
}

}  // namespace

std::optional<NftChainNews> NftTables::read_chain(const Ruleset::Key& key, std::string_view name) {
  Batch ask;
  ask.ask(nft_message_type(NFT_MSG_GETCHAIN), nft_header(nft_family(key.family)));
  ask.put_text(NFTA_CHAIN_TABLE, key.table);
  ask.put_text(NFTA_CHAIN_NAME, name);
  std::optional<NftChainNews> chain;
  socket_.transact(ask, [&](std::size_t, const MessageView& message) {
    if (const std::optional<Bytes> attributes = nft_attributes(message)) {
      chain = decode_nft_chain(*attributes);
    }
  });
  return chain;
}

// The kernel can list no chains but those of all tables of a family, which are thousands where
// kube-proxy is: ours are asked for by name, and the list is only for others in a table of ours.
void NftTables::read_chains(const Ruleset::Key& key, std::size_t used, NftTable& table) {
  std::vector<NftChainNews> ours;
  for (const std::string_view name : kNftChains) {
    if (std::optional<NftChainNews> chain = read_chain(key, name)) {
      ours.push_back(std::move(*chain));
    }
  }
  if (ours.size() == used) {
    std::ranges::sort(ours, {}, &NftChainNews::handle);
    for (NftChainNews& chain : ours) {
      table.chains.push_back(std::move(chain.chain));
    }
    return;
  }
  Batch list;
  list.begin(nft_message_type(NFT_MSG_GETCHAIN), 0, nft_header(nft_family(key.family)));
  table.chains = socket_.dump<NftTable::Chain>(list, "chains", [&](const MessageView& message) {
    const std::optional<Bytes> attributes = nft_attributes(message);
    NftChainNews news = attributes ? decode_nft_chain(*attributes) : NftChainNews{};
    return news.table == key.table ? std::optional(std::move(news.chain)) : std::nullopt;
  });
}

void NftTables::read_chain_rules(const Ruleset::Key& key, NftTable& table) {
  struct Row {
    std::string chain, line;
  };
  Batch list;
  list.begin(nft_message_type(NFT_MSG_GETRULE), 0, nft_header(nft_family(key.family)));
  list.put_text(NFTA_RULE_TABLE, key.table);
  std::vector<std::size_t> counts(table.chains.size());
  const auto take = [&](const MessageView& message) -> std::optional<Row> {
    const std::optional<Bytes> attributes = nft_attributes(message);
    const NftRule rule = attributes ? decode_nft_rule(*attributes) : NftRule{};
    // Old kernels list the rules of all tables.
    if (rule.table != key.table) {
      return std::nullopt;
    }
    return Row{rule.chain, nft_rule_line(*attributes, key.family)};
  };
  for (Row& row : socket_.dump<Row>(list, "rules", take)) {
    const auto chain = std::ranges::find(table.chains, row.chain, &NftTable::Chain::name);
    if (chain != table.chains.end()) {
      const auto at = static_cast<std::size_t>(chain - table.chains.begin());
      if (++counts[at] <= kMostRules) {
        chain->rules.push_back(std::move(row.line));
      }
    }
  }
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] > kMostRules) {
      table.chains[i].rules.push_back(fmt::format("# {} more", counts[i] - kMostRules));
    }
  }
}

std::optional<NftTable> NftTables::read(const Ruleset::Key& key) {
  Batch ask;
  ask.ask(nft_message_type(NFT_MSG_GETTABLE), nft_header(nft_family(key.family)));
  ask.put_text(NFTA_TABLE_NAME, key.table);
  std::optional<NftTableNews> news;
  const OpResult answer = socket_.transact(ask, [&](std::size_t, const MessageView& message) {
    if (const std::optional<Bytes> attributes = nft_attributes(message)) {
      news = decode_nft_table(*attributes);
    }
  })[0];
  if (!answer.ok() || !news) {
    return std::nullopt;
  }
  NftTable table = std::move(news->table);
  read_chains(key, news->used, table);
  if (table.chains.size() < news->used) {
    table.head.push_back(
        fmt::format("# {} sets, maps, objects or flowtables", news->used - table.chains.size()));
  }
  read_chain_rules(key, table);
  const auto put = commented_.find(key);
  return put != commented_.end() && table == without_comments(put->second) ? put->second : table;
}

void NftTables::note_put(const Ruleset::Key& key, const NftTable& want) {
  commented_.erase(key);
  if (const std::optional<NftTable> have = read(key); have && *have == without_comments(want)) {
    commented_[key] = want;
  }
}

std::optional<Ruleset> NftTables::read_rules(const Ruleset::Key& key) {
  const std::optional<NftTable> table = read(key);
  return table ? std::optional(Ruleset{key, nft_lines(*table, key)}) : std::nullopt;
}

OpResult NftTables::change(const Ruleset::Key& key, const NftTable* want, bool commit) {
  OpResult result;
  for (int left = kTriesAtDump; left > 0; --left) {
    const std::optional<NftTable> have = read(key);
    if (!have && want == nullptr) {
      return {};
    }
    Result<NftBatch> batch = plan_nft_change(key, have ? &*have : nullptr, want, commit);
    if (!batch) {
      return {EINVAL, batch.error().text};
    }
    const std::optional<netlink::Refusal> refused = socket_.commit(batch->messages);
    if (!refused) {
      if (want != nullptr && commit) {
        note_put(key, *want);
      }
      return {};
    }
    result = refusal(*batch, *refused);
    if (!may_be_outdated(result)) {
      break;
    }
  }
  return result;
}

OpResult NftTables::put(const Ruleset& want) {
  const NftTable table = parse_nft_lines(want.lines);
  return change(want.key, &table, true);
}

OpResult NftTables::remove(const Ruleset::Key& key) {
  return change(key, nullptr, true);
}

OpResult NftTables::check(const Ruleset& want) {
  const NftTable table = parse_nft_lines(want.lines);
  return change(want.key, &table, false);
}

bool ends_transaction(const MessageView& message) {
  return message.type == nft_message_type(NFT_MSG_NEWGEN);
}

std::optional<NftNews> decode_nft_news(const MessageView& message) {
  const int type = message.type & 0xff;
  if (message.type >> 8 != NFNL_SUBSYS_NFTABLES || ends_transaction(message)) {
    return std::nullopt;
  }
  Bytes rest = message.payload;
  const std::optional<nfgenmsg> header = netlink::take_header<nfgenmsg>(rest);
  if (!header) {
    return std::nullopt;
  }
  const bool rule = type == NFT_MSG_NEWRULE || type == NFT_MSG_DELRULE;
  const bool chain = type == NFT_MSG_NEWCHAIN || type == NFT_MSG_DELCHAIN;
  NftNews news{header->nfgen_family, {}, {}};
  while (const std::optional<netlink::Attribute> attribute = netlink::next_attribute(rest)) {
    // The table's name has one number in the messages of all that a table has.
    if (attribute->type == NFTA_TABLE_NAME) {
      news.table = attribute->text();
    } else if ((rule && attribute->type == NFTA_RULE_CHAIN) ||
               (chain && attribute->type == NFTA_CHAIN_NAME)) {
      news.chain = attribute->text();
    }
  }
  return news;
}

}  // namespace flannel

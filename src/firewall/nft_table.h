// A table of nftables that is ours as a whole: its text, its messages, and the steps from one to
// another.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "kernel/netlink_message.h"
#include "kernel/ruleset.h"

namespace flannel {

// Lines as `nft list table` prints them. What we never have, of others in our table, is a line that
// begins with `#`.
struct NftTable {
  struct Chain {
    std::string name;               // as the kernel has it: any bytes
    std::vector<std::string> head;  // `comment …`, `type …`
    std::vector<std::string> rules;
    bool operator==(const Chain&) const = default;
  };
  std::vector<std::string> head;  // `comment …`
  std::vector<Chain> chains;      // in the order in which they were made
  bool operator==(const NftTable&) const = default;
};

// `table ip flannel-ipv4 {` and so on.
std::vector<std::string> nft_lines(const NftTable& table, const Ruleset::Key& key);
// The table whose lines these are.
NftTable parse_nft_lines(const std::vector<std::string>& lines);

// What a kernel before 5.10 has of it, which takes comments and does not keep them.
NftTable without_comments(NftTable table);

// What the kernel says of a table and of a chain, behind their headers.
struct NftTableNews {
  NftTable table;        // its head alone
  std::size_t used = 0;  // how many chains, sets, maps, objects and flowtables it has
};
NftTableNews decode_nft_table(netlink::Bytes attributes);
struct NftChainNews {
  std::string table;
  std::uint64_t handle = 0;  // grows with each object of the table that is made
  NftTable::Chain chain;     // without rules
};
NftChainNews decode_nft_chain(netlink::Bytes attributes);

// A batch of nfnetlink with what each of its messages is about.
struct NftBatch {
  netlink::Batch messages;
  std::vector<std::string> about;
};

// The transaction that makes `have`, or nothing, into `want`, or nothing. Chains that are as wanted
// keep their place in the packets' way, and their rules are exchanged at one instant; a table with
// anything else in it is made anew. `commit` false: a trial, which the kernel checks and drops. The
// error names the line that we cannot encode.
Result<NftBatch> plan_nft_change(const Ruleset::Key& key, const NftTable* have,
                                 const NftTable* want, bool commit = true);

}  // namespace flannel

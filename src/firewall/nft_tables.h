// Our tables of nftables in the kernel, without the program nft.
#pragma once

#include <map>
#include <optional>
#include <string_view>

#include "firewall/nft_table.h"
#include "kernel/kernel.h"
#include "kernel/netlink_socket.h"
#include "kernel/ruleset.h"

namespace flannel {

class NftTables {
 public:
  // Throws std::system_error where the kernel has no nfnetlink.
  NftTables() : socket_(NETLINK_NETFILTER) {}

  // The table as it is; nothing where there is none, nor nftables. What others may have put into it
  // by the thousand is counted from some line on. Throws std::system_error.
  std::optional<NftTable> read(const Ruleset::Key& key);
  // The same as an object.
  std::optional<Ruleset> read_rules(const Ruleset::Key& key);

  // In one transaction: until it is done the kernel has all that it had. A refusal says what of.
  OpResult put(const Ruleset& want);
  OpResult remove(const Ruleset::Key& key);
  // What put() would answer; nothing is changed.
  OpResult check(const Ruleset& want);

 private:
  OpResult change(const Ruleset::Key& key, const NftTable* want, bool commit);
  std::optional<NftChainNews> read_chain(const Ruleset::Key& key, std::string_view name);
  void read_chains(const Ruleset::Key& key, std::size_t used, NftTable& table);
  void read_chain_rules(const Ruleset::Key& key, NftTable& table);
  void note_put(const Ruleset::Key& key, const NftTable& want);

  netlink::RequestSocket socket_;
  // What was put where the kernel keeps no comments.
  std::map<Ruleset::Key, NftTable> commented_;
};

// What a notification of NFNLGRP_NFTABLES is about; nothing for those of no table (a new
// generation).
struct NftNews {
  std::uint8_t family = 0;  // NFPROTO_…
  std::string_view table;
  std::string_view chain;  // empty: the table itself, a set, …
};
std::optional<NftNews> decode_nft_news(const netlink::MessageView& message);
// The message behind all others of a transaction.
bool ends_transaction(const netlink::MessageView& message);

}  // namespace flannel

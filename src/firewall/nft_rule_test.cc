// Where a rule is, as the kernel lists it.
#include "firewall/nft_rule.h"

#include <arpa/inet.h>  // before the kernel's headers, which then leave its names alone
#include <gtest/gtest.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <vector>

namespace flannel {
namespace {

using netlink::Batch;
using netlink::Bytes;

// A rule's attributes, with `userdata` as nft keeps it.
std::vector<std::uint8_t> rule_with(Bytes userdata) {
  Batch batch;
  batch.begin(0, 0, nfgenmsg{});
  batch.put_text(NFTA_RULE_TABLE, "nat");
  batch.put_text(NFTA_RULE_CHAIN, "PREROUTING");
  const std::vector<std::uint8_t> handle = {0, 0, 0, 0, 0, 0, 1, 2};
  batch.put_bytes(NFTA_RULE_HANDLE, handle);
  batch.put_bytes(NFTA_RULE_USERDATA, userdata);
  const Bytes message = batch.finish(1).subspan(sizeof(nlmsghdr) + sizeof(nfgenmsg));
  return {message.begin(), message.end()};
}

TEST(NftRules, AreReadWithTheirComment) {
  const std::vector<std::uint8_t> userdata = {1, 2, 'x', 'x', 0, 3, 'a', 'b', 0};
  EXPECT_EQ(decode_nft_rule(rule_with(userdata)), (NftRule{"nat", "PREROUTING", "ab", 0x102}));
}

TEST(NftRules, CommentsThatAreCutShortAreNone) {
  for (const std::vector<std::uint8_t>& userdata : std::vector<std::vector<std::uint8_t>>{
           {}, {0}, {0, 4, 'a', 0}, {1, 9, 'x'}, {1, 1, 'x', 0}}) {
    EXPECT_EQ(decode_nft_rule(rule_with(userdata)), (NftRule{"nat", "PREROUTING", "", 0x102}));
  }
}

}  // namespace
}  // namespace flannel

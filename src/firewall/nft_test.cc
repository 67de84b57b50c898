// Names as words of nft, and its rules as the kernel lists them.
#include "firewall/nft.h"

#include <gtest/gtest.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <set>

namespace flannel {
namespace {

using netlink::Batch;
using netlink::Bytes;

TEST(NftWord, ANameThatIsOneStays) {
  for (const char* name : {"", "cbr0", "a_b.c-d", "-", "0"}) {
    EXPECT_TRUE(is_nft_word(name));
    EXPECT_EQ(nft_word(name, 128), name);
  }
  EXPECT_EQ(nft_word(std::string(128, 'x'), 128), std::string(128, 'x'));
}

TEST(NftWord, AnyOtherByteIsSpelledOut) {
  EXPECT_EQ(nft_word("a b", 128).substr(0, 6), "a_20b-");
  EXPECT_EQ(nft_word("\xff", 128).substr(0, 4), "_FF-");
  for (int byte = 0; byte < 256; ++byte) {
    const std::string word = nft_word(std::string(1, static_cast<char>(byte)), 20);
    EXPECT_TRUE(is_nft_word(word)) << byte;
  }
}

TEST(NftWord, NamesThatDifferStayApart) {
  std::set<std::string> words;
  const std::vector<std::string> names = {"a b",
                                          "a_20b",
                                          "a\"b",
                                          "a;b",
                                          "a\nb",
                                          std::string("a\0b", 3),
                                          "a",
                                          std::string(40, 'x'),
                                          std::string(41, 'x'),
                                          std::string(40, ' '),
                                          std::string(41, ' ')};
  for (const std::string& name : names) {
    const std::string word = nft_word(name, 40);
    EXPECT_LE(word.size(), 40U);
    EXPECT_TRUE(is_nft_word(word)) << word;
    EXPECT_TRUE(words.insert(word).second) << word;
  }
}

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

// Names as words of nft.
#include "cni/firewall/nft_program.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace flannel::cni {
namespace {

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

}  // namespace
}  // namespace flannel::cni

#include "store/etcd_messages.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace flannel::etcd {
namespace {

using namespace std::string_literals;

// A PUT of "k" at 8.
const std::string kEvent = "\x12\x07\x0a\x01k\x18\x08\x30\x00"s;
// A transaction's answer: header{cluster 1, revision 7}, succeeded.
const std::string kTxn = "\x0a\x04\x08\x01\x18\x07\x10\x01"s;

TEST(EtcdMessages, DecodesAnEvent) {
  EXPECT_EQ(decode_event(kEvent, false).kv.key, "k");
  EXPECT_EQ(decode_event(kEvent, false).kv.mod_revision, 8);
  EXPECT_TRUE(decode_event("\x08\x01"s, false).deleted);
  EXPECT_EQ(decode_txn(kTxn).header.revision, 7);
}

// Its key and revision come before what makes it long.
TEST(EtcdMessages, OfWhatIsCutTheRestIsThere) {
  const Event event = decode_event(kEvent.substr(0, 8), true);
  EXPECT_TRUE(event.kv.cut);
  EXPECT_EQ(event.kv.key, "k");
  EXPECT_EQ(event.kv.mod_revision, 8);
  EXPECT_EQ(decode_event(kEvent.substr(0, 4), true).kv.key, "");
}

// An end that is there and empty asks for all keys from the first on.
TEST(EtcdMessages, AskingForOneKeyHasNoEnd) {
  EXPECT_EQ(encode(RangeRequest{.key = "a"}), "\x0a\x01\x61\x18\x00\x20\x00"s);
  EXPECT_EQ(encode(RangeRequest{.key = "a", .range_end = "b", .limit = 5, .revision = 6}),
            "\x0a\x01\x61\x12\x01\x62\x18\x05\x20\x06"s);
}

TEST(EtcdMessages, AFieldOfAnotherTypeIsSkipped) {
  EXPECT_FALSE(decode_txn("\x12\x01\x01"s).succeeded);  // field 2 as bytes
  EXPECT_TRUE(decode_txn("\x10\x01"s).succeeded);
  EXPECT_EQ(decode_authenticate("\x10\x01"s).token, "");  // field 2 as a number
}

TEST(EtcdMessages, EncodesTheTransactionThatCreatesAKey) {
  const TxnRequest request{.conditions = {{.key = "k", .range_end = "l", .revision = 8}},
                           .success = {{.key = "k", .value = "v", .lease = 3}}};
  EXPECT_EQ(encode(request),
            "\x0a\x0d\x08\x02\x10\x02\x1a\x01k\x30\x09\x82\x04\x01l"
            "\x12\x0a\x12\x08\x0a\x01k\x12\x01v\x18\x03"s);
}

// The message in a buffer of its very size, so that AddressSanitizer sees a read beyond it.
TEST(EtcdMessages, AMessageThatEndsWithTheTagOfABool) {
  const std::vector<char> txn = {0x10};
  EXPECT_THROW(decode_txn({txn.data(), txn.size()}), std::runtime_error);
}

TEST(EtcdMessages, SurviveJunk) {
  std::minstd_rand random(1);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = round % 2 == 0 ? kTxn : kEvent;
    for (int changes = 0; changes < 3; ++changes) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    bytes.resize(random() % (bytes.size() + 1));
    try {
      decode_event(bytes, round % 3 == 0);
      decode_lease_grant(bytes);
      decode_authenticate(bytes);
      decode_txn(bytes);
    } catch (const std::runtime_error&) {  // what it is for
    }
  }
}

}  // namespace
}  // namespace flannel::etcd

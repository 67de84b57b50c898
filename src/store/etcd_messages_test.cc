#include "store/etcd_messages.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace flannel::etcd {
namespace {

using namespace std::string_literals;

// header{cluster 1, revision 7, term 2}, kvs{key "k", mod_revision 5, value "v", lease 9}, count 1.
const std::string kRange =
    "\x0a\x06\x08\x01\x18\x07\x20\x02"
    "\x12\x0a\x0a\x01k\x18\x05\x2a\x01v\x30\x09"
    "\x20\x01"s;

// created, and a PUT of "k" at 8 and a DELETE of "k" at 9.
const std::string kWatch =
    "\x0a\x02\x18\x09\x18\x01"
    "\x5a\x09\x12\x07\x0a\x01k\x18\x08\x30\x00"
    "\x5a\x09\x08\x01\x12\x05\x0a\x01k\x18\x09"s;

TEST(EtcdMessages, DecodesAList) {
  const RangeResponse response = decode_range(kRange);
  EXPECT_EQ(response.header.cluster_id, 1U);
  EXPECT_EQ(response.header.revision, 7);
  EXPECT_EQ(response.header.raft_term, 2U);
  ASSERT_EQ(response.kvs.size(), 1U);
  EXPECT_EQ(response.kvs[0].key, "k");
  EXPECT_EQ(response.kvs[0].value, "v");
  EXPECT_EQ(response.kvs[0].mod_revision, 5);
  EXPECT_EQ(response.kvs[0].lease, 9);
}

TEST(EtcdMessages, DecodesWatchEvents) {
  const WatchResponse response = decode_watch(kWatch);
  EXPECT_TRUE(response.created);
  EXPECT_FALSE(response.canceled);
  ASSERT_EQ(response.events.size(), 2U);
  EXPECT_FALSE(response.events[0].deleted);
  EXPECT_TRUE(response.events[1].deleted);
  EXPECT_EQ(response.events[1].kv.mod_revision, 9);
}

// An end that is there and empty asks for all keys from the first on.
TEST(EtcdMessages, AskingForOneKeyHasNoEnd) {
  EXPECT_EQ(encode(RangeRequest{.key = "a"}), std::string("\x0a\x01"
                                                          "a"));
  EXPECT_EQ(encode(RangeRequest{.key = "a", .range_end = "b"}), std::string("\x0a\x01"
                                                                            "a\x12\x01"
                                                                            "b"));
}

TEST(EtcdMessages, AFieldOfAnotherTypeIsSkipped) {
  EXPECT_FALSE(decode_txn("\x12\x01\x01"s).succeeded);  // field 2 as bytes
  EXPECT_TRUE(decode_txn("\x10\x01"s).succeeded);
  EXPECT_EQ(decode_authenticate("\x10\x01"s).token, "");  // field 2 as a number
}

TEST(EtcdMessages, EncodesTheTransactionThatCreatesAKey) {
  const TxnRequest request{.compares = {{.key = "k"}},
                           .success = {{.key = "k", .value = "v", .lease = 3}}};
  EXPECT_EQ(encode(request),
            "\x0a\x09\x08\x00\x10\x00\x1a\x01k\x20\x00"
            "\x12\x0a\x12\x08\x0a\x01k\x12\x01v\x18\x03"s);
}

TEST(EtcdMessages, ATruncatedMessageIsNamed) {
  try {
    decode_range(kRange.substr(0, kRange.size() - 5));
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_TRUE(std::string(error.what()).starts_with("etcd sent a malformed RangeResponse: "));
  }
}

// The message in a buffer of its very size, so that AddressSanitizer sees a read beyond it.
TEST(EtcdMessages, AMessageThatEndsWithTheTagOfABool) {
  const std::vector<char> txn = {0x10}, created = {0x18}, canceled = {0x20};
  EXPECT_THROW(decode_txn({txn.data(), txn.size()}), std::runtime_error);
  EXPECT_THROW(decode_watch({created.data(), created.size()}), std::runtime_error);
  EXPECT_THROW(decode_watch({canceled.data(), canceled.size()}), std::runtime_error);
}

TEST(EtcdMessages, SurviveJunk) {
  std::minstd_rand random(1);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = round % 2 == 0 ? kRange : kWatch;
    for (int changes = 0; changes < 3; ++changes) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    bytes.resize(random() % (bytes.size() + 1));
    try {
      decode_range(bytes);
      decode_watch(bytes);
      decode_lease_grant(bytes);
      decode_authenticate(bytes);
      decode_txn(bytes);
    } catch (const std::runtime_error&) {  // what it is for
    }
  }
}

}  // namespace
}  // namespace flannel::etcd

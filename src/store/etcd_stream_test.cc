#include "store/etcd_stream.h"

#include <gtest/gtest.h>

#include <random>
#include <stdexcept>
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

// `bytes` fed in pieces of `size`; what was malformed.
template <class Decoder>
std::string feed(Decoder& decoder, std::string_view bytes, std::size_t size) {
  try {
    for (; !bytes.empty(); bytes.remove_prefix(std::min(size, bytes.size()))) {
      decoder.feed(bytes.substr(0, size));
    }
    decoder.finish();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

TEST(EtcdStream, DecodesAListHoweverItsBytesCome) {
  for (std::size_t size = 1; size <= kRange.size(); ++size) {
    std::vector<KeyValue> entries;
    RangeDecoder decoder([&](KeyValue entry) { entries.push_back(std::move(entry)); });
    ASSERT_EQ(feed(decoder, kRange, size), "");
    EXPECT_EQ(decoder.response().header.cluster_id, 1U);
    EXPECT_EQ(decoder.response().header.revision, 7);
    EXPECT_EQ(decoder.response().header.raft_term, 2U);
    EXPECT_EQ(decoder.response().count, 1U);
    EXPECT_FALSE(decoder.response().more);
    ASSERT_EQ(entries.size(), 1U);
    EXPECT_EQ(entries[0].key, "k");
    EXPECT_EQ(entries[0].value, "v");
    EXPECT_EQ(entries[0].mod_revision, 5);
    EXPECT_EQ(entries[0].lease, 9);
  }
}

TEST(EtcdStream, DecodesWatchEventsHoweverTheirBytesCome) {
  for (std::size_t size = 1; size <= kWatch.size(); ++size) {
    std::vector<Event> events;
    WatchDecoder decoder([&](Event event) { events.push_back(std::move(event)); });
    ASSERT_EQ(feed(decoder, kWatch, size), "");
    EXPECT_TRUE(decoder.response().created);
    EXPECT_FALSE(decoder.response().canceled);
    ASSERT_EQ(events.size(), 2U);
    EXPECT_FALSE(events[0].deleted);
    EXPECT_TRUE(events[1].deleted);
    EXPECT_EQ(events[1].kv.mod_revision, 9);
  }
}

TEST(EtcdStream, AMessageThatEndsWithinAFieldIsMalformed) {
  for (std::size_t length = 1; length < kRange.size(); ++length) {
    RangeDecoder decoder([](const KeyValue&) {});
    const bool between_fields = length == 8 || length == 20;
    EXPECT_EQ(feed(decoder, kRange.substr(0, length), 3),
              between_fields ? "" : "etcd sent a malformed RangeResponse")
        << length;
  }
}

TEST(EtcdStream, NumbersAndTagsThatAreNoneAreMalformed) {
  for (const std::string& bytes : {"\x00\x01"s, "\x0b"s, "\x0f"s, std::string(11, '\x80'),
                                   "\x18"s + std::string(11, '\xff')}) {
    RangeDecoder decoder([](const KeyValue&) {});
    EXPECT_EQ(feed(decoder, bytes, bytes.size()), "etcd sent a malformed RangeResponse");
  }
}

TEST(EtcdStream, AnEntryThatIsTooLongIsCutAndTheRestIsRead) {
  std::string entry = "\x0a\x01k\x18\x05\x2a"s;
  const std::size_t value = kMostEntryBytes + 5;  // 0x200005
  entry += "\x85\x80\x80\x01"s + std::string(value, 'x');
  std::string message = "\x12"s;
  std::size_t length = entry.size();
  for (; length > 0x7f; length >>= 7) {
    message += static_cast<char>(0x80 | (length & 0x7f));
  }
  message += static_cast<char>(length);
  message += entry + "\x12\x03\x0a\x01l"s;
  std::vector<KeyValue> entries;
  RangeDecoder decoder([&](KeyValue taken) { entries.push_back(std::move(taken)); });
  ASSERT_EQ(feed(decoder, message, 10'000), "");
  ASSERT_EQ(entries.size(), 2U);
  EXPECT_TRUE(entries[0].cut);
  EXPECT_EQ(entries[0].key, "k");
  EXPECT_EQ(entries[0].mod_revision, 5);
  EXPECT_FALSE(entries[1].cut);
  EXPECT_EQ(entries[1].key, "l");
}

TEST(EtcdStream, SurvivesJunk) {
  std::minstd_rand random(1);
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = round % 2 == 0 ? kRange : kWatch;
    for (int changes = 0; changes < 3; ++changes) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    bytes.resize(random() % (bytes.size() + 1));
    RangeDecoder list([](const KeyValue&) {});
    WatchDecoder watch([](const Event&) {});
    feed(list, bytes, 1 + random() % 9);
    feed(watch, bytes, 1 + random() % 9);
  }
}

}  // namespace
}  // namespace flannel::etcd

#include "kube/node_messages.h"

#include <gtest/gtest.h>

#include <protozero/pbf_writer.hpp>
#include <stdexcept>
#include <vector>

#include "kube/event_frames.h"
#include "kube/node_objects_fixture.h"

namespace flannel {
namespace {

class NodeMessages : public testing::Test {
 protected:
  std::map<std::string, std::string> recorded = recorded_objects();

  NodeEvent event(const std::string& name) const {
    NodeEvent event;
    EventFrames frames(EventFrames::Form::lengths);
    frames.feed(recorded.at(name),
                [&](std::string_view frame) { event = decode_node_event(frame, kPrefix); });
    EXPECT_FALSE(frames.partial());
    return event;
  }
};

std::string error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

TEST_F(NodeMessages, OfANodeWhatWeUseIsKept) {
  EXPECT_EQ(decode_node(recorded.at("node"), kPrefix), recorded_node(1));
  EXPECT_EQ(decode_node(recorded.at("metadata"), kPrefix), metadata_of(recorded_node(1)));
  EXPECT_EQ(decode_node(recorded.at("node"), "other.io/").annotations, Annotations());
}

TEST_F(NodeMessages, AListIsReadHoweverItsBytesCome) {
  const std::string& list = recorded.at("list");
  for (const std::size_t size : {std::size_t(1), std::size_t(7), std::size_t(100), list.size()}) {
    std::vector<NodeObject> nodes;
    NodeListDecoder decoder(kPrefix, [&](NodeObject node) { nodes.push_back(std::move(node)); });
    for (std::size_t at = 0; at < list.size(); at += size) {
      decoder.feed(std::string_view(list).substr(at, size));
    }
    decoder.finish();
    EXPECT_EQ(nodes, (std::vector{recorded_node(1), recorded_node(2), recorded_node(3)}));
    EXPECT_EQ(decoder.version(), "105");
    EXPECT_EQ(decoder.more(), "");
  }
}

TEST_F(NodeMessages, ATruncatedListIsNone) {
  const std::string& list = recorded.at("list");
  constexpr std::size_t kBehindTheList = 4;  // two empty fields of the envelope
  for (std::size_t size = 0; size < list.size() - kBehindTheList; ++size) {
    NodeListDecoder decoder(kPrefix, [](const NodeObject&) {});
    EXPECT_NE(error_of([&] {
                decoder.feed(std::string_view(list).substr(0, size));
                decoder.finish();
              }),
              "")
        << size;
  }
}

TEST_F(NodeMessages, AnEventIsOfANodeOrItsMetadata) {
  EXPECT_EQ(event("added"), (NodeEvent{NodeEvent::Type::added, metadata_of(recorded_node(1)), {}}));
  EXPECT_EQ(event("modified"), (NodeEvent{NodeEvent::Type::modified, recorded_node(2), {}}));
  EXPECT_EQ(event("deleted"),
            (NodeEvent{NodeEvent::Type::deleted, metadata_of(recorded_node(2)), {}}));
}

// As the digest of what the event says in full; in the bytes that came.
TEST_F(NodeMessages, AChangeOfMetadataHasADigest) {
  std::string change = recorded.at("added").substr(4);
  const std::size_t type = change.find("ADDED");
  change.replace(type - 1, 6, "\x8MODIFIED");
  const NodeObject node = decode_node_event(change, kPrefix).node;
  const std::optional<NodeDigest> digest = decode_change(change, kPrefix);
  ASSERT_TRUE(digest);
  EXPECT_EQ(digest->name, node.name);
  EXPECT_EQ(digest->uid, node.uid);
  EXPECT_EQ(digest->version, node.version);
  EXPECT_EQ(digest->annotations, digest_of(node).annotations);
  EXPECT_TRUE(change.data() < digest->name.data() &&
              digest->name.data() < change.data() + change.size());
  for (const char* other : {"added", "modified", "deleted", "bookmark", "error"}) {
    EXPECT_FALSE(decode_change(recorded.at(other).substr(4), kPrefix)) << other;
  }
}

TEST_F(NodeMessages, ABookmarkIsAVersionAndAnErrorAStatus) {
  const NodeEvent bookmark = event("bookmark");
  EXPECT_EQ(bookmark.type, NodeEvent::Type::bookmark);
  EXPECT_EQ(bookmark.node.version, "12345");
  const NodeEvent error = event("error");
  EXPECT_EQ(error.type, NodeEvent::Type::error);
  EXPECT_EQ(error.status.code, 410);
  EXPECT_EQ(error.status.reason, "Expired");
}

TEST_F(NodeMessages, WhatIsNoNodeSaysSo) {
  EXPECT_EQ(error_of([&] { decode_node(recorded.at("list"), kPrefix); }),
            "the API server sent no Node, but \"NodeList\"");
  EXPECT_EQ(error_of([] { decode_node("{}", kPrefix); }),
            "the API server sent an object that is no protobuf");
  NodeListDecoder decoder(kPrefix, [](const NodeObject&) {});
  decoder.feed(recorded.at("node").substr(0, 4));
  EXPECT_NE(error_of([&] { decoder.finish(); }), "");
  EXPECT_EQ(error_of([&] { decoder.feed("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"); }),
            "the API server sent a malformed Unknown");
}

// A name is quoted and compared often; none is longer than 253 characters.
TEST_F(NodeMessages, TextsWithoutEndAreNone) {
  std::string metadata;
  protozero::pbf_writer(metadata).add_string(1, std::string(kMostNodeName + 1, 'x'));
  std::string node;
  protozero::pbf_writer(node).add_message(1, metadata);
  std::string type;
  protozero::pbf_writer(type).add_string(2, "Node");
  std::string unknown;
  protozero::pbf_writer writer(unknown);
  writer.add_message(1, type);
  writer.add_bytes(2, node);
  EXPECT_EQ(error_of([&] { decode_node(std::string("k8s\0", 4) + unknown, kPrefix); }),
            "the API server sent a name of 1001 bytes");
}

TEST(EventFrames, AreCutHoweverTheirBytesCome) {
  const std::string bytes("\0\0\0\3one\0\0\0\0\0\0\0\5three", 23 - 3);
  for (std::size_t size = 1; size <= bytes.size(); ++size) {
    std::vector<std::string> frames;
    EventFrames cut(EventFrames::Form::lengths);
    for (std::size_t at = 0; at < bytes.size(); at += size) {
      cut.feed(std::string_view(bytes).substr(at, size),
               [&](std::string_view frame) { frames.emplace_back(frame); });
    }
    EXPECT_EQ(frames, (std::vector<std::string>{"one", "", "three"})) << size;
    EXPECT_FALSE(cut.partial());
  }
}

TEST(EventFrames, OfJsonAreLines) {
  std::vector<std::string> frames;
  const auto take = [&](std::string_view frame) { frames.emplace_back(frame); };
  EventFrames cut(EventFrames::Form::lines);
  cut.feed("{\"a\"", take);
  EXPECT_TRUE(cut.partial());
  cut.feed(":1}\n{}\n", take);
  EXPECT_EQ(frames, (std::vector<std::string>{"{\"a\":1}", "{}"}));
  EXPECT_FALSE(cut.partial());
}

TEST(EventFrames, ALengthThatNoObjectHasIsAnError) {
  EventFrames cut(EventFrames::Form::lengths);
  EXPECT_EQ(error_of([&] { cut.feed(std::string("\x7f\0\0\0", 4), [](std::string_view) {}); }),
            "the API server sent an event of over 8 MB");
}

}  // namespace
}  // namespace flannel

// What a watch of Nodes says of our own.

#include <gtest/gtest.h>

#include "kube/node_watch_fixture.h"

namespace flannel {
namespace {

using namespace std::chrono_literals;

class OwnNodeWatch : public NodeWatchTest {
 protected:
  OwnNodeWatch() {
    NodeObject node = peer(0);
    node.name = "own";
    api.put(node);
  }
  void write() { own.done(attrs_of(api.node("own").annotations).value(), api.node("own")); }
  void alter(const std::string& name, const std::string& value) {
    NodeObject node = api.node("own");
    node.annotations[name] = value;
    api.put(node);
  }
};

TEST_F(OwnNodeWatch, IsNotSpokenOfBeforeWeHaveWritten) {
  const LeaseUpdate all = next();
  EXPECT_EQ(all.own, std::nullopt);
  EXPECT_EQ(all.leases.size(), 2U) << "it is no peer";
  alter("public-ip", "198.18.7.7");
  EXPECT_EQ(next_within(50ms), std::nullopt);
}

TEST_F(OwnNodeWatch, SaysWhatOthersHaveDoneToIt) {
  write();
  EXPECT_EQ(next().own, OwnEntry());
  alter("unrelated", "x");
  EXPECT_EQ(next_within(50ms), std::nullopt) << "nothing of ours";
  const std::string address = api.node("own").annotations.at("public-ip");
  alter("public-ip", "198.18.7.7");
  EXPECT_EQ(next().own, (OwnEntry{.state = OwnEntry::State::altered,
                                  .lease = {},
                                  .reason = "annotation public-ip is \"198.18.7.7\""}));
  alter("public-ip", address);
  EXPECT_EQ(next().own, OwnEntry());
  alter("public-ip-overwrite", "203.0.113.9");
  EXPECT_EQ(next().own->reason, "annotation public-ip is \"198.18.0.1\"");
  api.remove("own");
  EXPECT_EQ(next().own->state, OwnEntry::State::gone);
  NodeObject again = peer(0);
  again.name = "own";
  again.uid = "another";
  api.put(again);
  EXPECT_EQ(next().own->reason, "the Node was deleted and made again");
}

// Its annotations are written then, and the watch may tell of that before the answer comes. Nothing
// follows for minutes.
TEST_F(OwnNodeWatch, WhatWeWriteToANodeThatIsMadeAgainIsAsWritten) {
  write();
  NodeObject again = api.node("own");
  const LeaseAttrs attrs = attrs_of(again.annotations).value();
  again.uid = "another";
  api.put(again);
  EXPECT_EQ(next().own->reason, "the Node was deleted and made again");
  own.begin(attrs);
  alter("unrelated", "x");
  EXPECT_EQ(next().own, OwnEntry());
}

// Who alters it at each write of ours does so before we have heard of the write.
TEST_F(OwnNodeWatch, WhatIsAlteredInTheSameWayAgainIsNews) {
  write();
  next();
  const std::string address = api.node("own").annotations.at("public-ip");
  alter("public-ip", "198.18.7.7");
  const std::optional<OwnEntry> altered = next().own;
  EXPECT_EQ(altered->state, OwnEntry::State::altered);
  alter("public-ip", address);
  write();
  alter("public-ip", "198.18.7.7");
  std::optional<OwnEntry> last;
  for (int i = 0; i < 2 && last != altered; ++i) {
    const std::optional<LeaseUpdate> update = next_within(1s);
    last = update ? update->own : last;
  }
  EXPECT_EQ(last, altered);
}

// Versions of a restored etcd are lower than what we have written.
TEST_F(OwnNodeWatch, WhatARestoredEtcdHasOfUsIsNews) {
  timing.most_silence = 50ms;
  NodeWatch impatient = open();
  write();
  EXPECT_EQ(run(impatient.next(kNever))->own, OwnEntry());
  api.version = 50;
  alter("public-ip", "198.18.7.7");
  EXPECT_EQ(run(impatient.next(kNever))->own->reason, "annotation public-ip is \"198.18.7.7\"");
}

// An event of before the write says nothing, and one of the write may come before its answer.
TEST_F(OwnNodeWatch, OldNewsAreNone) {
  next();
  EXPECT_EQ(next_within(5ms), std::nullopt);
  const NodeObject before = api.node("own");
  alter("public-ip", "198.18.7.7");
  const LeaseAttrs attrs = attrs_of(api.node("own").annotations).value();
  own.begin(attrs);
  EXPECT_EQ(next().own, OwnEntry());
  own.done(attrs, api.node("own"));
  EXPECT_EQ(own.classify(before), std::nullopt);
  EXPECT_EQ(own.classify_gone(before.version), std::nullopt);
}

}  // namespace
}  // namespace flannel

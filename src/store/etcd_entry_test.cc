#include "store/etcd_entry.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace flannel {
namespace {

const EtcdLayout kLayout("/coreos.com/network");
const std::string kKey = "/coreos.com/network/subnets/10.5.60.0-24";
const std::string kValue = R"({"PublicIP":"198.18.0.2"})";

LeaseUpdate read_events(const std::vector<etcd::Event>& events) {
  EventReader reader(kLayout);
  for (const etcd::Event& event : events) {
    reader.add(event);
  }
  return reader.take();
}

TEST(EtcdEntry, ThePrefixIsCleanedAsAPath) {
  EXPECT_EQ(EtcdLayout("//coreos.com//network/").prefix(), "/coreos.com/network");
  EXPECT_EQ(EtcdLayout("/a/./b/../c").prefix(), "/a/c");
  EXPECT_EQ(EtcdLayout("coreos.com/network").prefix(), "coreos.com/network");
  EXPECT_EQ(EtcdLayout("/").config_key(), "/config");
}

TEST(EtcdEntry, WhatIsInTheWayOfANewKeyIsEveryKeyOfItsIpv4Subnet) {
  const EtcdLayout layout("/p");
  const auto v4 = layout.untouched(*parse_lease_key("10.5.60.0-24&fc00:5::-64"), 7);
  EXPECT_EQ(v4.key, "/p/subnets/10.5.60.0-24");
  EXPECT_EQ(v4.range_end, "/p/subnets/10.5.60.0-25");
  EXPECT_EQ(v4.revision, 7);
  const auto v6 = layout.untouched(*parse_lease_key("0.0.0.0-0&fc00:5::-64"), 7);
  EXPECT_EQ(v6.key, "/p/subnets/0.0.0.0-0&fc00:5::-64");
  EXPECT_EQ(v6.range_end, "");
}

TEST(EtcdEntry, AKeyThatIsNotItsSubnetsOwnIsNamedAndHoldsIt) {
  SnapshotReader reader(kLayout);
  reader.start();
  for (const char* key : {"x-10.5.1.0-24", "10.5.1.7-24", "10.5.1.0-24", "x/10.5.1.0-24"}) {
    reader.add({.key = fmt::format("/coreos.com/network/subnets/{}", key), .value = kValue});
  }
  const LeaseUpdate update = reader.take();
  ASSERT_EQ(update.leases.size(), 1U);
  ASSERT_EQ(update.bad.size(), 3U);
  EXPECT_EQ(update.bad[0].reason, "not the key of 10.5.1.0/24, which is 10.5.1.0-24");
  EXPECT_EQ(update.unreadable, std::vector(3, *parse_lease_key("10.5.1.0-24")));
  // Nor does the lease change or go with them.
  for (const std::string& name : {update.bad[0].key, update.bad[2].key}) {
    const std::string key = "/coreos.com/network/subnets/" + name;
    EXPECT_TRUE(read_events({{.kv = {.key = key, .value = kValue}}}).leases.empty());
    const LeaseUpdate gone = read_events({{.deleted = true, .kv = {.key = key}}});
    EXPECT_TRUE(gone.removed.empty());
    EXPECT_EQ(gone.bad_removed, std::vector<std::string>{name});
  }
}

TEST(EtcdEntry, OfBadEntriesAThousandAreNamedAndTheRestCounted) {
  SnapshotReader reader(kLayout);
  reader.start();
  for (int i = 0; i < 3'000; ++i) {
    reader.add({.key = fmt::format("/coreos.com/network/subnets/junk-{}", i), .value = {}});
  }
  const LeaseUpdate update = reader.take();
  EXPECT_EQ(update.bad.size(), kMostBadEntries);
  EXPECT_EQ(update.more_bad.size(), 2'000U);
}

TEST(EtcdEntry, AValueOverTheLimitIsNoneOfALease) {
  const std::string nested = R"({"PublicIP":"198.18.0.2","BackendData":[)";
  std::string value = nested;
  while (value.size() <= kMostLeaseValue) {
    value += "[],";
  }
  EXPECT_EQ(read_lease(kLayout, {.key = kKey, .value = value + "[]]}"}).error().text,
            "a value of over 64 kB is none of a lease");
  EXPECT_TRUE(read_lease(kLayout, {.key = kKey, .value = nested + "[]]}"}));
}

TEST(EtcdEntry, KeysLieBelowThePrefix) {
  const EtcdLayout layout("/coreos.com/network/");
  EXPECT_EQ(layout.config_key(), "/coreos.com/network/config");
  EXPECT_EQ(layout.lease_key(*parse_lease_key("10.5.60.0-24")), kKey);
  EXPECT_EQ(layout.leases().key, "/coreos.com/network/subnets/");
  EXPECT_EQ(layout.leases().range_end, "/coreos.com/network/subnets0");
}

TEST(EtcdEntry, AnEntryWithoutAnEtcdLeaseIsAReservation) {
  EXPECT_FALSE(read_lease(kLayout, {.key = kKey, .value = kValue})->expiry);
  EXPECT_TRUE(read_lease(kLayout, {.key = kKey, .value = kValue, .lease = 1})->expiry);
}

TEST(EtcdEntry, OfSeveralEventsOfAKeyTheLastCounts) {
  const etcd::Event put{.kv = {.key = kKey, .value = kValue}};
  const etcd::Event junk{.kv = {.key = kKey, .value = "{"}};
  const etcd::Event removal{.deleted = true, .kv = {.key = kKey}};
  const LeaseUpdate gone = read_events({put, junk, removal});
  EXPECT_TRUE(gone.leases.empty());
  EXPECT_TRUE(gone.bad.empty());
  EXPECT_EQ(gone.removed.size(), 1U);
  const LeaseUpdate back = read_events({removal, put});
  EXPECT_EQ(back.leases.size(), 1U);
  EXPECT_TRUE(back.removed.empty());
  EXPECT_EQ(read_events({put, junk}).bad.size(), 1U);
}

TEST(EtcdEntry, TheRemovalOfJunkIsNamed) {
  EXPECT_EQ(read_events({{.deleted = true, .kv = {.key = "/coreos.com/network/subnets/readme"}}}),
            LeaseUpdate{.bad_removed = {"readme"}});
}

}  // namespace
}  // namespace flannel

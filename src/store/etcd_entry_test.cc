#include "store/etcd_entry.h"

#include <gtest/gtest.h>

namespace flannel {
namespace {

const std::string kKey = "/coreos.com/network/subnets/10.5.60.0-24";
const std::string kValue = R"({"PublicIP":"198.18.0.2"})";

TEST(EtcdEntry, KeysLieBelowThePrefix) {
  const EtcdLayout layout("/coreos.com/network/");
  EXPECT_EQ(layout.config_key(), "/coreos.com/network/config");
  EXPECT_EQ(layout.lease_key(*parse_lease_key("10.5.60.0-24")), kKey);
  EXPECT_EQ(layout.leases().key, "/coreos.com/network/subnets/");
  EXPECT_EQ(layout.leases().range_end, "/coreos.com/network/subnets0");
}

TEST(EtcdEntry, AnEntryWithoutAnEtcdLeaseIsAReservation) {
  EXPECT_FALSE(read_lease({.key = kKey, .value = kValue})->expiry);
  EXPECT_TRUE(read_lease({.key = kKey, .value = kValue, .lease = 1})->expiry);
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
            LeaseUpdate{.bad_removed = {"/coreos.com/network/subnets/readme"}});
}

}  // namespace
}  // namespace flannel

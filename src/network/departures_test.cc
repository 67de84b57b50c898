#include "network/departures.h"

#include <gtest/gtest.h>

namespace flannel {
namespace {

using namespace std::chrono_literals;

class DeparturesTest : public testing::Test {
 protected:
  static Lease lease(const std::string& key) {
    return {*parse_lease_key(key),
            *parse_lease_attrs(fmt::format(
                R"({{"PublicIP":"198.18.0.{}","PublicIPv6":"fd99::2","BackendType":"vxlan"}})",
                key.substr(5, 1))),
            {}};
  }
  static LeaseKey key(const std::string& text) { return *parse_lease_key(text); }
  bool apply(LeaseUpdate update) {
    return peers.apply(departures.filter(std::move(update), peers, now)).any;
  }
  bool pass(Departures::Clock::duration time) {
    now += time;
    return peers.apply(departures.due(now)).any;
  }
  std::string present() const {
    std::string out;
    for (const Lease* peer : peers.usable()) {
      out += to_text(peer->key) + " ";
    }
    return out;
  }

  Peers peers{*parse_network_config(
                  R"({"Network":"10.5.0.0/16","EnableIPv6":true,"IPv6Network":"fc00:5::/48"})"),
              {key("10.5.9.0-24"), {}, {}}};
  Departures departures{key("10.5.9.0-24"), {}};
  Departures::Clock::time_point now = Departures::Clock::now();
};

TEST_F(DeparturesTest, APeerSeenToLeaveStaysForASecond) {
  apply({.snapshot = true, .leases = {lease("10.5.1.0-24"), lease("10.5.2.0-24")}});
  apply({.removed = {key("10.5.1.0-24")}});
  EXPECT_EQ(present(), "10.5.1.0-24 10.5.2.0-24 ");
  EXPECT_EQ(departures.next_due(), now + 1s);
  pass(999ms);
  EXPECT_EQ(present(), "10.5.1.0-24 10.5.2.0-24 ");
  pass(1ms);
  EXPECT_EQ(present(), "10.5.2.0-24 ");
  EXPECT_EQ(departures.next_due(), Departures::Clock::time_point::max());
}

TEST_F(DeparturesTest, OneThatIsBackInTimeHasNeverLeft) {
  apply({.snapshot = true, .leases = {lease("10.5.1.0-24")}});
  apply({.removed = {key("10.5.1.0-24")}});
  EXPECT_FALSE(apply({.leases = {lease("10.5.1.0-24")}}));
  EXPECT_FALSE(pass(5s));
  EXPECT_EQ(present(), "10.5.1.0-24 ");
}

TEST_F(DeparturesTest, ANodeWhoseKeyChangesTakesItsOwnPlaceAtOnce) {
  apply({.snapshot = true, .leases = {lease("10.5.1.0-24"), lease("10.5.2.0-24")}});
  apply({.leases = {lease("10.5.1.0-24&fc00:5:0:1::-64")}, .removed = {key("10.5.1.0-24")}});
  EXPECT_EQ(present(), "10.5.1.0-24&fc00:5:0:1::-64 10.5.2.0-24 ");
  apply({.removed = {key("10.5.1.0-24&fc00:5:0:1::-64")}});
  apply({.leases = {lease("10.5.1.0-24")}});
  EXPECT_EQ(present(), "10.5.1.0-24 10.5.2.0-24 ") << "and back, in two updates";
  apply({.snapshot = true, .leases = {lease("10.5.1.0-24&fc00:5:0:1::-64"), lease("10.5.2.0-24")}});
  EXPECT_EQ(present(), "10.5.1.0-24&fc00:5:0:1::-64 10.5.2.0-24 ") << "in a list";
  EXPECT_EQ(departures.unconfirmed(), 0U);
}

TEST_F(DeparturesTest, WhatAListLacksStaysUntilASecondOneSomeTimeLater) {
  apply({.snapshot = true, .leases = {lease("10.5.1.0-24"), lease("10.5.2.0-24")}});
  const LeaseUpdate list{.snapshot = true, .leases = {lease("10.5.2.0-24")}};
  apply(list);
  EXPECT_EQ(departures.unconfirmed(), 1U);
  EXPECT_EQ(departures.next_list(), now + 10s);
  pass(9s);
  apply(list);
  EXPECT_EQ(present(), "10.5.1.0-24 10.5.2.0-24 ") << "too soon";
  pass(1s);
  EXPECT_EQ(present(), "10.5.1.0-24 10.5.2.0-24 ") << "time alone confirms nothing";
  apply(list);
  EXPECT_EQ(present(), "10.5.2.0-24 ");
  EXPECT_EQ(departures.next_list(), Departures::Clock::time_point::max());
}

TEST_F(DeparturesTest, InAListASuccessorIsTheSameNode) {
  const auto at = [](const std::string& text, int node) {
    return Lease{
        key(text),
        *parse_lease_attrs(fmt::format(
            R"({{"PublicIP":"198.18.0.{0}","PublicIPv6":"fd99::{0}","BackendType":"vxlan"}})",
            node)),
        {}};
  };
  apply({.snapshot = true, .leases = {at("10.5.1.0-24", 1), at("10.5.2.0-24", 2)}});
  apply({.snapshot = true,
         .leases = {at("10.5.1.0-24&fc00:5:0:1::-64", 1), at("10.5.2.0-24&fc00:5:0:2::-64", 77)}});
  EXPECT_EQ(present(), "10.5.1.0-24&fc00:5:0:1::-64 10.5.2.0-24 0.0.0.0-0&fc00:5:0:2::-64 ")
      << "the newcomer has what is free";
  EXPECT_EQ(departures.unconfirmed(), 1U);
  EXPECT_EQ(peers.refused().size(), 1U) << "and waits for the rest";
  pass(10s);
  apply({.snapshot = true,
         .leases = {at("10.5.1.0-24&fc00:5:0:1::-64", 1), at("10.5.2.0-24&fc00:5:0:2::-64", 77)}});
  EXPECT_EQ(present(), "10.5.1.0-24&fc00:5:0:1::-64 10.5.2.0-24&fc00:5:0:2::-64 ");
}

TEST_F(DeparturesTest, AnEntryThatCannotBeReadIsNoDeparture) {
  apply({.snapshot = true, .leases = {lease("10.5.1.0-24"), lease("10.5.2.0-24")}});
  apply({.bad = {{"10.5.1.0-24", "junk"}}, .unreadable = {key("10.5.1.0-24")}});
  EXPECT_EQ(present(), "10.5.1.0-24 10.5.2.0-24 ");
  for (int i = 0; i < 3; ++i) {
    apply({.snapshot = true,
           .leases = {lease("10.5.2.0-24")},
           .bad = {{"10.5.1.0-24", "junk"}},
           .unreadable = {key("10.5.1.0-24")}});
    EXPECT_EQ(present(), "10.5.1.0-24 10.5.2.0-24 ");
    EXPECT_EQ(peers.refused().size(), 1U);
    pass(20s);
  }
  apply({.removed = {key("10.5.1.0-24")}, .bad_removed = {"10.5.1.0-24"}});
  EXPECT_TRUE(peers.refused().empty()) << "what is gone is not shown for ever";
  pass(1s);
  EXPECT_EQ(present(), "10.5.2.0-24 ");
}

// Neither is a deletion that is followed by one.
TEST_F(DeparturesTest, ADeletedOneThatIsBackUnreadableStays) {
  apply({.snapshot = true, .leases = {lease("10.5.1.0-24")}});
  apply({.removed = {key("10.5.1.0-24")}});
  apply({.bad = {{"10.5.1.0-24", "junk"}}, .unreadable = {key("10.5.1.0-24")}});
  pass(20s);
  EXPECT_EQ(present(), "10.5.1.0-24 ");
}

}  // namespace
}  // namespace flannel

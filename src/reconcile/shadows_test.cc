#include "reconcile/shadows.h"

#include <gtest/gtest.h>

#include "kernel/kernel.h"
#include "reconcile/mirror.h"

namespace flannel {
namespace {

constexpr std::uint8_t kBlackhole = 6;

Route route(const char* dst, std::uint32_t metric = 0, std::uint8_t type = 1) {
  Route out;
  out.key = {*Prefix::parse(dst), metric};
  out.type = type;
  return out;
}

Table<Route> table(std::vector<Route> rows) {
  return Table<Route>(std::move(rows));
}

Table<Route> wanted() {
  return table({route("10.5.61.0/24"), route("10.5.62.0/24"), route("fc00:5:0:61::/64", 1024)});
}

std::vector<std::string> shadows_of(std::vector<Route> foreign) {
  std::vector<std::string> out;
  for (const Shadow& shadow : find_shadows(wanted(), table(std::move(foreign)))) {
    out.push_back(to_text(shadow));
  }
  return out;
}

TEST(ShadowsTest, WhatIsMoreSpecificThanARouteOfOursWhateverItsTypeAndMetric) {
  EXPECT_EQ(shadows_of({route("10.5.61.128/25", 0, kBlackhole), route("10.5.62.255/32", 9999)}),
            (std::vector<std::string>{
                "route blackhole 10.5.61.128/25 proto 70 takes packets to 10.5.61.0/24: remove it",
                "route 10.5.62.255/32 metric 9999 proto 70 takes packets to 10.5.62.0/24: remove "
                "it"}));
  EXPECT_EQ(shadows_of({route("10.5.61.0/25"), route("10.5.61.0/32")}).size(), 2U);
}

TEST(ShadowsTest, OfOneDestinationTheLowerMetric) {
  EXPECT_EQ(shadows_of({route("fc00:5:0:61::/64", 5, kBlackhole)}).size(), 1U);
  EXPECT_TRUE(shadows_of({route("fc00:5:0:61::/64", 1024)}).empty()) << "a question of place";
  EXPECT_TRUE(shadows_of({route("fc00:5:0:61::/64", 2000)}).empty());
  EXPECT_TRUE(shadows_of({route("10.5.61.0/24", 1)}).empty());
}

TEST(ShadowsTest, NotWhatIsLessSpecificOrWhereNoPeerIs) {
  EXPECT_TRUE(shadows_of({route("10.5.0.0/16", 0, kBlackhole), route("10.5.60.0/23"),
                          route("10.5.60.7/32"), route("10.5.63.0/25"), route("::/0"),
                          route("fc00:5:0:60::/64"), route("10.5.60.0/24")})
                  .empty());
  EXPECT_TRUE(find_shadows({}, table({route("10.5.61.0/25")})).empty());
}

TEST(ShadowsTest, NotificationsAreEnteredWhereTheyTellAll) {
  const Route hole = route("10.5.61.0/25", 0, kBlackhole);
  Table<Route> foreign;
  EXPECT_TRUE(record_foreign({false, hole}, foreign));
  EXPECT_TRUE(record_foreign({false, hole}, foreign)) << "a dump told of it before";
  EXPECT_EQ(foreign, table({hole}));
  EXPECT_FALSE(record_foreign({false, route("10.5.61.0/25")}, foreign)) << "replaced, or beside it";
  EXPECT_FALSE(record_foreign({true, route("10.5.61.0/25")}, foreign)) << "one of its paths";
  EXPECT_TRUE(record_foreign({true, hole}, foreign));
  EXPECT_TRUE(record_foreign({true, hole}, foreign));
  EXPECT_TRUE(foreign.empty());
  Route behind = hole;
  behind.key.place = 1;
  foreign = table({hole, behind});
  EXPECT_FALSE(record_foreign({true, hole}, foreign)) << "which of them";
}

}  // namespace
}  // namespace flannel

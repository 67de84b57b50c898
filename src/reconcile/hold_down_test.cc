#include "reconcile/hold_down.h"

#include <gtest/gtest.h>

namespace flannel {
namespace {

using std::chrono::milliseconds;

class HoldDownTest : public testing::Test {
 protected:
  static Object route(unsigned n) {
    Route route;
    route.key.dst = {IpAddr::from_number(Family::v4, n << 8), 24};
    return route;
  }
  // How long it is held down from now on.
  milliseconds held(const Object& object) const {
    const HoldDown::Entry* entry = hold_down.find(object, now);
    return entry == nullptr ? milliseconds(0)
                            : std::chrono::duration_cast<milliseconds>(entry->ends() - now);
  }

  HoldDown hold_down{milliseconds(100), milliseconds(400)};
  HoldDown::Clock::time_point now{std::chrono::hours(1)};
};

TEST_F(HoldDownTest, OneRepairIsNoContest) {
  hold_down.repaired({route(1)}, now);
  EXPECT_EQ(held(route(1)), milliseconds(0));
  EXPECT_EQ(hold_down.next_end(now), HoldDown::Clock::time_point::max());
}

TEST_F(HoldDownTest, HoldsTwiceAsLongEachTimeUpToTheMost) {
  for (const int expected : {0, 100, 200, 400, 400}) {
    hold_down.repaired({route(1)}, now);
    EXPECT_EQ(held(route(1)), milliseconds(expected));
    EXPECT_EQ(held(route(2)), milliseconds(0));
    now += milliseconds(expected);
    EXPECT_EQ(held(route(1)), milliseconds(0)) << "it ends";
  }
  EXPECT_EQ(hold_down.find(route(1), now - milliseconds(1))->repairs, 5U);
}

TEST_F(HoldDownTest, ForgetsWhatStayed) {
  hold_down.repaired({route(1)}, now);
  hold_down.repaired({route(1)}, now);
  now += milliseconds(1100);
  hold_down.repaired({route(1)}, now);
  EXPECT_EQ(held(route(1)), milliseconds(0));
}

TEST_F(HoldDownTest, KeepsEachObjectApart) {
  hold_down.repaired({route(3), route(1)}, now);
  hold_down.repaired({route(1), route(2)}, now);
  EXPECT_EQ(held(route(1)), milliseconds(100));
  EXPECT_EQ(held(route(2)), milliseconds(0));
  EXPECT_EQ(held(route(3)), milliseconds(0));
  EXPECT_EQ(hold_down.next_end(now), now + milliseconds(100));
  hold_down.repaired({route(3)}, now);
  EXPECT_EQ(held(route(3)), milliseconds(100)) << "it was remembered";
}

TEST_F(HoldDownTest, KnowsAnObjectByItsKey) {
  hold_down.repaired({route(1)}, now);
  hold_down.repaired({route(1)}, now);
  Route other = std::get<Route>(route(1));
  other.nexthop = 7;
  EXPECT_NE(hold_down.find(other, now), nullptr);
}

}  // namespace
}  // namespace flannel

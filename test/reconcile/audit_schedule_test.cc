#include "reconcile/audit_schedule.h"

#include <gtest/gtest.h>

#include <optional>

#include "test/support/fake_kernel.h"

namespace flannel {
namespace {

using namespace std::chrono_literals;

class AuditScheduleTest : public testing::Test {
 protected:
  AuditScheduleTest() {
    kernel.audit_list = {{kinds<Sysctl>(), 30s}, {others, std::nullopt}};
    schedule.emplace(kernel, 5min);
    schedule->listed(all_kinds(), start);
  }

  const KindSet others = all_kinds() & ~kinds<Sysctl>();
  FakeKernel kernel;
  const AuditSchedule::Clock::time_point start{1h};
  std::optional<AuditSchedule> schedule;
};

TEST_F(AuditScheduleTest, KindsWithATimeOfTheirOwnComeByThemselves) {
  EXPECT_EQ(schedule->next(), start + 30s);
  EXPECT_EQ(schedule->due(start + 29s).kinds, KindSet());
  const AuditSchedule::Due due = schedule->due(start + 30s);
  EXPECT_EQ(due.kinds, kinds<Sysctl>());
  EXPECT_FALSE(due.in_full);
  schedule->listed(due.kinds, start + 31s);
  EXPECT_EQ(schedule->next(), start + 61s);
}

TEST_F(AuditScheduleTest, AllOthersComeTogether) {
  schedule->listed(kinds<Sysctl>(), start + 299s);
  EXPECT_EQ(schedule->next(), start + 5min);
  const AuditSchedule::Due due = schedule->due(start + 5min);
  EXPECT_EQ(due.kinds, others);
  EXPECT_TRUE(due.in_full);
}

TEST_F(AuditScheduleTest, AListOfSomeKindsIsNoAuditOfAll) {
  schedule->listed(others & ~kinds<Route>(), start + 299s);
  EXPECT_EQ(schedule->due(start + 5min).kinds, all_kinds());
  schedule->listed(all_kinds(), start + 5min);
  EXPECT_EQ(schedule->due(start + 5min).kinds, KindSet());
}

}  // namespace
}  // namespace flannel

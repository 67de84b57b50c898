// Every scenario leads to its plan. FLANNEL_UPDATE_SCENARIOS=1 writes what came out where it is not
// what was expected, for you to read; the test fails all the same.

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/file.h"
#include "reconcile/diff.h"
#include "test/backend/scenario.h"

namespace flannel {
namespace {

class ScenarioFile : public testing::TestWithParam<std::string> {};

TEST_P(ScenarioFile, LeadsToItsPlan) {
  const Scenario scenario = read_scenario(GetParam());
  const auto [plan, refused] = scenario.plan();
  std::string actual;
  for (const Op& op : diff(plan.state, scenario.have)) {
    actual += to_text(op) + "\n";
  }
  for (const Refused& peer : refused) {
    actual += "refused " + peer.name + ": " + peer.reason + "\n";
  }
  for (const Refused& peer : plan.skipped) {
    actual += "skipped " + peer.name + ": " + peer.reason + "\n";
  }
  for (const Route& route : scenario.leftovers) {
    if (plan.state.of<Route>().find(route.key) == nullptr) {
      actual += "left " + to_text(Object(route)) + "\n";
    }
  }
  EXPECT_EQ(actual, scenario.expected);
  if (actual != scenario.expected && std::getenv("FLANNEL_UPDATE_SCENARIOS") != nullptr) {
    const std::string path = scenario_path(GetParam());
    const std::string text = *read_file(path);
    ASSERT_TRUE(replace_file(path, text.substr(0, text.find("plan\n") + 5) + actual, 0644));
  }
}

INSTANTIATE_TEST_SUITE_P(Scenarios, ScenarioFile, testing::ValuesIn(all_scenarios()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace flannel

// Every scenario again, with whatever can fail failing: it still ends as planned.

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "reconcile/reconciler.h"
#include "test/backend/scenario.h"
#include "test/support/fake_kernel.h"
#include "test/support/faulty_kernel.h"

namespace flannel {
namespace {

// More than enough passes for any single failure.
constexpr int kPasses = 6;

class FailureMatrix : public testing::TestWithParam<std::string> {
 protected:
  FailureMatrix() : scenario(read_scenario(GetParam())), want(scenario.plan().first.state) {}

  // A kernel as it is before the scenario's transition.
  void reset() {
    kernel = std::make_unique<FakeKernel>();
    kernel->host_view.interfaces.push_back({scenario.external.name, 2, 1500, true, {}});
    for (const Link& link : scenario.have.of<Link>()) {
      const Vxlan* vxlan = std::get_if<Vxlan>(&link.kind);
      if (vxlan != nullptr && vxlan->lower != scenario.external.name) {
        kernel->host_view.interfaces.push_back({vxlan->lower, 3, 1500, true, {}});
      }
    }
    kernel->state = scenario.have;
    faulty = std::make_unique<FaultyKernel>(*kernel);
  }
  // A daemon's reconciler, as after its start.
  std::unique_ptr<Reconciler> reconciler() {
    return std::make_unique<Reconciler>(
        io.get_executor(), *faulty, scenario.scope(),
        Reconciler::Planner{.plan = [this](const Snapshot&) { return want; }},
        Reconciler::Timing{});
  }
  // A pass, or what is left of it.
  static void pass(Reconciler& reconciler) {
    try {
      reconciler.process_notifications();
      reconciler.pass();
    } catch (const std::system_error&) {  // as run_forever() does: it begins anew
      reconciler.wake();
    }
  }
  void converges(Reconciler& reconciler) {
    for (int i = 0; i < kPasses; ++i) {
      pass(reconciler);
    }
    EXPECT_EQ(to_text(kernel->dump(scenario.scope()).ours), to_text(want));
    EXPECT_TRUE(reconciler.report().problems.empty());
    EXPECT_TRUE(reconciler.preview().ops.empty());
  }
  // How many operations the undisturbed transition takes.
  std::size_t operations() {
    reset();
    const std::unique_ptr<Reconciler> undisturbed = reconciler();
    converges(*undisturbed);
    return faulty->tried();
  }

  asio::io_context io;
  const Scenario scenario;
  const NetState want;
  std::unique_ptr<FakeKernel> kernel;
  std::unique_ptr<FaultyKernel> faulty;
};

TEST_P(FailureMatrix, WhicheverOperationFails) {
  const std::size_t count = operations();
  for (const int error : {EBUSY, ENOBUFS, EPERM, EEXIST, ENODEV}) {
    for (std::size_t nth = 0; nth < count; ++nth) {
      SCOPED_TRACE(fmt::format("operation {} of {}: {}", nth, count, std::strerror(error)));
      reset();
      faulty->refuse = [&](std::size_t n, const Op&) { return n == nth ? error : 0; };
      converges(*reconciler());
    }
  }
}

TEST_P(FailureMatrix, WheneverTheProcessIsKilled) {
  const std::size_t count = operations();
  for (std::size_t nth = 1; nth <= count; ++nth) {
    SCOPED_TRACE(fmt::format("after operation {} of {}", nth, count));
    reset();
    faulty->live_for = nth;
    pass(*reconciler());
    faulty = std::make_unique<FaultyKernel>(*kernel);
    converges(*reconciler());
  }
}

TEST_P(FailureMatrix, WhenDumpsAreInterrupted) {
  for (const unsigned dumps : {1U, 3U}) {
    reset();
    faulty->interrupted_dumps = dumps;
    converges(*reconciler());
  }
}

// In the midst of a pass somebody takes away what was just made, and the notification is lost.
TEST_P(FailureMatrix, WhenNotificationsAreLost) {
  const std::size_t count = operations();
  for (std::size_t nth = 0; nth < count; ++nth) {
    SCOPED_TRACE(fmt::format("what operation {} of {} made is gone", nth, count));
    reset();
    std::size_t done = 0;
    kernel->after = [&](const Op& op) {
      if (done++ == nth && op.verb != Op::Verb::remove) {
        kernel->outside({Op::Verb::remove, op.object});
      }
    };
    const std::unique_ptr<Reconciler> one = reconciler();
    pass(*one);
    faulty->lose_notifications = true;
    converges(*one);
  }
}

INSTANTIATE_TEST_SUITE_P(Scenarios, FailureMatrix, testing::ValuesIn(all_scenarios()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace flannel

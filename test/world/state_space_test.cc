// Whatever happened, in whatever order: once nothing more happens, the kernel has exactly what the
// leases ask for, and what is not ours is as it was.
//
// FLANNEL_SEEDS=N tries N seeds (200), from FLANNEL_FIRST_SEED (1) on. A failure prints its seed
// and all that happened; FLANNEL_SEEDS=1 FLANNEL_FIRST_SEED=SEED plays it again.

#include <gtest/gtest.h>

#include "test/support/needs.h"
#include "test/support/seeds.h"
#include "test/world/world.h"

namespace flannel {
namespace {

// So many things happen before it is to settle, and so often.
constexpr unsigned kSteps = 8;
constexpr unsigned kRounds = 5;
// The seeds are shared out among so many tests, which run side by side.
constexpr unsigned kShares = 8;

class StateSpace : public testing::TestWithParam<unsigned> {};

TEST_P(StateSpace, ConvergesFromAnything) {
  ROOT_OR_SKIP();
  const auto [first, end] = seeds(200);
  for (std::uint64_t seed = first + GetParam(); seed < end; seed += kShares) {
    World world(seed);
    for (unsigned step = 1; step <= kSteps * kRounds; ++step) {
      world.step();
      const bool settled = step % kSteps != 0 || world.settles();
      ASSERT_TRUE(settled) << "seed " << seed << "\n"
                           << world.story() << "wanted:\n"
                           << to_text(world.wanted()) << "present:\n"
                           << to_text(world.present());
    }
    ASSERT_EQ(world.foreign_now(), world.foreign_before()) << "seed " << seed << "\n"
                                                           << world.story();
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, StateSpace, testing::Range(0U, kShares));

}  // namespace
}  // namespace flannel

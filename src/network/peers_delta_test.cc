#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <random>
#include <set>

#include "network/peers_fixture.h"

namespace flannel {
namespace {

// Leases that come, change and go at random, of which many contradict others.
class RandomLeases {
 public:
  explicit RandomLeases(unsigned seed) : random_(seed) {}

  LeaseUpdate update() {
    LeaseUpdate update;
    for (unsigned n = 0; n < 1 + below(3); ++n) {
      const Lease peer = next();
      keys.insert(peer.key);
      if (below(3) == 0) {
        update.removed.push_back(peer.key);
      } else {
        update.leases.push_back(peer);
      }
    }
    return update;
  }

  std::set<LeaseKey> keys;  // all so far

 private:
  unsigned below(unsigned bound) { return static_cast<unsigned>(random_() % bound); }

  Lease next() {
    std::string key = fmt::format("10.5.{}.{}", below(12), below(6) == 0 ? "128-25" : "0-24");
    if (below(4) != 0) {
      key += fmt::format("&fc00:5:0:{}::-64", 1 + below(12));
    }
    const unsigned node = 3 + below(8);
    Lease peer = lease(key, fmt::format("198.18.0.{}", node), fmt::format("fd99::{}", node));
    peer.attrs.backend_data = fmt::format("{}", below(10));
    peer.attrs.backend_v6_data = fmt::format("{}", below(10));
    return peer;
  }

  std::mt19937 random_;
};

TEST(Peers, LookingAtWhatChangedGivesWhatJudgingAllGivesAndTellsTheDifference) {
  for (unsigned seed = 1; seed <= 50; ++seed) {
    RandomLeases random(seed);
    Peers peers(
        dual_network(), lease("10.5.60.0-24&fc00:5:0:60::-64", "198.18.0.2", "fd99::2"),
        [](const Lease& peer, Family family) {
          return std::optional(Mac::local(std::hash<std::string>()(peer.attrs.data(family))));
        });
    std::map<LeaseKey, Lease> told;
    unsigned few = 0;
    for (int step = 0; step < 60; ++step) {
      const PeersDelta delta = peers.apply(random.update());
      Peers evaluated = peers;
      evaluated.evaluate_all();
      ASSERT_EQ(usable(peers), usable(evaluated)) << seed << " " << step;
      ASSERT_TRUE(std::ranges::equal(peers.refused(), evaluated.refused(), {}, &Refused::name,
                                     &Refused::name))
          << seed << " " << step;
      ASSERT_EQ(peers.usable_count(), peers.usable().size());
      std::map<LeaseKey, Lease> is;
      for (const LeaseKey& key : random.keys) {
        if (const Lease* peer = peers.find_usable(key)) {
          is[key] = *peer;
        }
      }
      for (const PeersDelta::Change& change : delta.changes) {
        const auto before = told.find(change.key);
        ASSERT_TRUE(delta.all ||
                    change.was ==
                        (before == told.end() ? std::nullopt : std::optional(before->second)));
        told.erase(change.key);
        if (is.contains(change.key)) {
          told[change.key] = is[change.key];
        }
      }
      ASSERT_TRUE(delta.all || told == is) << seed << " " << step;
      few += delta.all ? 0 : 1;
      told = is;
    }
    EXPECT_GT(few, 0U) << seed;
  }
}

}  // namespace
}  // namespace flannel

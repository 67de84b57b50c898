// Thousands of ops at once that the kernel refuses, or whose device is renamed meanwhile: each has
// its own answer, and neither time nor memory runs away.

#include <atomic>
#include <chrono>
#include <fstream>
#include <set>
#include <thread>

#include "test/kernel/kernel_fixture.h"

namespace flannel {
namespace {

constexpr std::uint32_t kOps = 20'000;

// Of this process, in megabytes.
std::size_t memory_in_use() {
  std::size_t all = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> all >> resident;
  return resident * static_cast<std::size_t>(::getpagesize()) >> 20;
}

Prefix subnet(std::uint32_t i) {
  return {IpAddr::from_number(Family::v4, 0x0a060000 + (i << 3)), 29};
}

TEST_P(KernelContract, OfTwentyThousandOpsThatAreRefusedEachHasItsOwnAnswer) {
  add(overlay());
  std::vector<Op> before, ops;
  for (std::uint32_t i = 0; i < kOps; ++i) {
    Route route = this->route();
    route.key.dst = subnet(i);
    Nexthop nexthop = this->nexthop();
    nexthop.key.id += i;
    switch (i % 4) {
      case 0: {  // no such device
        const Dev nowhere(fmt::format("none{}", i % 100));
        ops.push_back({Op::Verb::add, Neighbour{{nowhere, subnet(i).ip}, peer_mac()}});
        break;
      }
      case 1:  // no such nexthop
        route.nexthop = 0x1fffff;
        ops.push_back({Op::Verb::add, route});
        break;
      case 2:  // somebody else's route
        ops.push_back({Op::Verb::add, route});
        route.nexthop = 0;
        route.dev = "eth0";
        route.protocol = RTPROT_BIRD;
        before.push_back({Op::Verb::add, route});
        break;
      default:  // somebody else's nexthop
        ops.push_back({Op::Verb::add, nexthop});
        nexthop.via = *IpAddr::parse("10.5.99.0");
        before.push_back({Op::Verb::add, nexthop});
    }
  }
  apply(before);
  drain();
  const std::size_t memory = memory_in_use();
  const auto start = std::chrono::steady_clock::now();
  const std::vector<OpResult> results = kernel_->apply(ops);
  const auto took = std::chrono::steady_clock::now() - start;
  EXPECT_LT(took, std::chrono::seconds(10)) << "as much as one each";
  EXPECT_LT(memory_in_use(), memory + 64);
  RecordProperty("milliseconds", static_cast<int>(took / std::chrono::milliseconds(1)));
  ASSERT_EQ(results.size(), kOps);
  for (std::uint32_t i = 0; i < kOps; ++i) {
    const int errors[] = {ENODEV, EINVAL, EEXIST, EEXIST};
    ASSERT_EQ(results[i].error, errors[i % 4]) << to_text(ops[i]) << ": " << results[i].text;
    if (i % 4 == 0) {
      ASSERT_EQ(results[i].text, fmt::format("there is no device none{}", i % 100));
    } else if (i % 4 == 2) {
      ASSERT_EQ(results[i].text, subnet(i).to_text() + " dev eth0 proto 12 is in the way");
    }
  }
}

class RenamedDevice : public KernelContract {};

// Somebody renames our device to and fro: what went well is on the device, and nothing else is.
TEST_P(RenamedDevice, OpsInFlightAreAnsweredByWhatBecameOfThem) {
  add(overlay());
  const auto rename = [](const char* from, const char* to) {
    return succeeds(fmt::format("ip link set {} name {}", from, to));
  };
  if (!rename("flannel.1", "moved0")) {
    GTEST_SKIP() << "SKIPPED: this kernel renames no device that is up (Linux 6.2)";
  }
  EXPECT_EQ(apply_one(Op::Verb::add, *overlay().of<Neighbour>().begin()).error, ENODEV);
  ASSERT_TRUE(rename("moved0", "flannel.1"));
  std::atomic<bool> done = false;
  std::thread somebody([&] {
    while (!done) {
      rename("flannel.1", "moved0");
      rename("moved0", "flannel.1");
    }
  });
  std::set<Mac> there;
  std::size_t refused = 0;
  constexpr std::uint32_t kRound = 200;
  for (std::uint32_t round = 0; there.size() < kOps / 4 && round < 2'000; ++round) {
    std::vector<Op> ops;
    for (std::uint32_t i = 0; i < kRound; ++i) {
      const Mac mac = Mac::local(0x10000 + round * kRound + i);
      ops.push_back({Op::Verb::add, FdbEntry{{"flannel.1", mac}, *IpAddr::parse("198.18.0.3")}});
    }
    const std::vector<OpResult> results = kernel_->apply(ops);
    for (std::size_t i = 0; i < ops.size(); ++i) {
      if (results[i].ok()) {
        there.insert(std::get<FdbEntry>(ops[i].object).key.mac);
      } else {
        EXPECT_EQ(results[i].error, ENODEV) << results[i].text;
        ++refused;
      }
    }
  }
  done = true;
  somebody.join();
  EXPECT_GE(there.size(), kOps / 4);
  RecordProperty("refused", static_cast<int>(refused));
  std::set<Mac> found;
  for (const FdbEntry& entry : dump().of<FdbEntry>()) {
    found.insert(entry.key.mac);
  }
  found.erase(peer_mac());
  EXPECT_TRUE(found == there) << found.size() << " of " << there.size();
}

INSTANTIATE_TEST_SUITE_P(Kernels, RenamedDevice, testing::Values("real"),
                         [](const auto& info) { return std::string(info.param); });

}  // namespace
}  // namespace flannel

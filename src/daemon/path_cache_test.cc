#include "daemon/path_cache.h"

#include <gtest/gtest.h>

namespace flannel {
namespace {

// Answers with one path for all, and counts.
class CountingNetwork : public HostNetwork {
 public:
  HostView host() override { return {}; }
  std::vector<Path> paths(std::span<const IpAddr> to) override {
    asked += to.size();
    return std::vector<Path>(to.size(), path);
  }
  Path path{.dev = "eth0", .via = {}, .source = {}};
  std::size_t asked = 0;
};

class PathCacheTest : public testing::Test {
 protected:
  static std::vector<Lease> peers(unsigned count) {
    std::vector<Lease> peers;
    for (unsigned i = 0; i < count; ++i) {
      Lease peer;
      peer.key.v4 = Prefix{IpAddr::from_number(Family::v4, 0x0a050000 + (i << 8)), 24};
      peer.attrs.public_ip = IpAddr::from_number(Family::v4, 0xc6120002 + i);
      peers.push_back(peer);
    }
    return peers;
  }
  const Paths& ask(unsigned count) {
    const std::vector<Lease> all = peers(count);
    std::vector<const Lease*> list;
    for (const Lease& peer : all) {
      list.push_back(&peer);
    }
    return cache.paths_to(list, kernel, now);
  }
  bool invalidates(const HostChanges& changes) { return cache.invalidate(changes); }

  CountingNetwork kernel;
  PathCache cache;
  PathCache::Clock::time_point now = PathCache::Clock::now();
};

TEST_F(PathCacheTest, AsksForEachAddressOnce) {
  EXPECT_EQ(ask(3).size(), 3U);
  EXPECT_EQ(ask(3).size(), 3U);
  EXPECT_EQ(ask(5).size(), 5U);
  EXPECT_EQ(kernel.asked, 5U);
  EXPECT_EQ(ask(2).size(), 2U) << "peers that left are dropped";
}

TEST_F(PathCacheTest, InvalidatesWhatAChangeTouches) {
  ask(3);
  EXPECT_FALSE(invalidates({.all = false, .links = {"eth1"}, .routes = {}}));
  EXPECT_FALSE(
      invalidates({.all = false, .links = {}, .routes = {*Prefix::parse("203.0.113.0/24")}}));
  ask(3);
  EXPECT_EQ(kernel.asked, 3U);
  EXPECT_TRUE(
      invalidates({.all = false, .links = {}, .routes = {*Prefix::parse("198.18.0.3/32")}}));
  ask(3);
  EXPECT_EQ(kernel.asked, 4U);
  EXPECT_TRUE(invalidates({.all = false, .links = {"eth0"}, .routes = {}}));
  ask(3);
  EXPECT_EQ(kernel.asked, 7U);
  EXPECT_TRUE(invalidates({.all = true, .links = {}, .routes = {}}));
}

TEST_F(PathCacheTest, ThousandsOfChangesInvalidateEverything) {
  ask(3);
  HostChanges flap;
  flap.routes.assign(2'000, *Prefix::parse("203.0.113.0/24"));
  EXPECT_TRUE(invalidates(flap));
  ask(3);
  EXPECT_EQ(kernel.asked, 6U);
}

TEST_F(PathCacheTest, AddressesWithoutAWayWaitForTheirRoute) {
  kernel.path = {};
  ask(1);
  EXPECT_TRUE(
      invalidates({.all = false, .links = {}, .routes = {*Prefix::parse("198.18.0.0/15")}}));
}

TEST_F(PathCacheTest, AsksAgainAfterSomeMinutes) {
  ask(3);
  now += std::chrono::minutes(6);
  ask(3);
  EXPECT_EQ(kernel.asked, 6U);
}

}  // namespace
}  // namespace flannel

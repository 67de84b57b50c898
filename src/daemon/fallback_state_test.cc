#include "daemon/fallback_state.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>

#include "base/directory_fixture.h"
#include "test/support/fake_store.h"

namespace flannel {
namespace {

class FallbackStateTest : public testing::Test {
 protected:
  void write(const std::string& config) {
    ASSERT_TRUE(file.write({config, lease("198.18.0.2"), {lease("198.18.0.3")}, {}}));
  }
  static Lease lease(const std::string& ip) {
    return {*parse_lease_key("10.5.1.0-24"),
            {.public_ip = *IpAddr::parse(ip), .backend_type = "host-gw"},
            {}};
  }
  static constexpr const char* kConfig =
      R"({"Network":"10.5.0.0/16","Backend":{"Type":"host-gw"}})";

  TestDirectory directory;
  const LastKnownStateFile file{directory.path(), "etcd subnet.env"};
  FakeStore fake;
  asio::io_context io;
  const std::unique_ptr<LeaseStore> store = fake.open(io.get_executor());
  FallbackState fallback{file, *store};
};

TEST_F(FallbackStateTest, IsThereWhereItCanBeUsed) {
  EXPECT_FALSE(fallback.begin("away")) << "there is no file";
  for (const char* config :
       {"junk", R"({"Network":"10.5.0.0/16","Backend":{"Type":"from the future"}})"}) {
    write(config);
    EXPECT_FALSE(fallback.begin("away")) << config;
    EXPECT_EQ(fallback.get(), nullptr);
  }
  write(kConfig);
  ASSERT_TRUE(fallback.begin("away"));
  EXPECT_EQ(fallback.cause(), "away");
  EXPECT_EQ(fallback.get()->config, kConfig);
  EXPECT_EQ(fallback.get()->peers.size(), 1U);
}

// As where the store has subnets by other rules.
TEST_F(FallbackStateTest, IsReadAsTheStoreReadsIt) {
  write(R"({"Network":"10.5.0.0/30","SubnetLen":99,"Backend":{"Type":"host-gw"}})");
  EXPECT_FALSE(fallback.begin("away"));
  fake.checks = ConfigChecks::kube;
  EXPECT_TRUE(fallback.begin("away"));
}

TEST_F(FallbackStateTest, IsNotThereASecondTime) {
  write(kConfig);
  ASSERT_TRUE(fallback.begin("away"));
  fallback.end();
  EXPECT_EQ(fallback.get(), nullptr);
  EXPECT_FALSE(fallback.begin("away"));
  EXPECT_FALSE(FallbackState(std::nullopt, *store).begin("away"));
}

TEST_F(FallbackStateTest, TheLeaseIsOursWhereTheAddressesAre) {
  write(kConfig);
  ASSERT_TRUE(fallback.begin("away"));
  LeaseAttrs now = lease("198.18.0.2").attrs;
  now.backend_type = "vxlan";
  const std::optional<Lease> own = fallback.own_lease(now);
  ASSERT_TRUE(own);
  EXPECT_EQ(own->key, *parse_lease_key("10.5.1.0-24"));
  EXPECT_EQ(own->attrs, now) << "as we are now";
  EXPECT_FALSE(fallback.own_lease(lease("198.18.0.9").attrs));
  now.public_ipv6 = *IpAddr::parse("fd99::2");
  EXPECT_FALSE(fallback.own_lease(now));
}

}  // namespace
}  // namespace flannel

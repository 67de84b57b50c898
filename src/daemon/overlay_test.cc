#include "daemon/overlay.h"

#include <gtest/gtest.h>

#include "base/directory_fixture.h"
#include "base/loop_fixture.h"
#include "test/support/fake_store.h"

namespace flannel {
namespace {

constexpr const char* kConfig = R"({"Network":"10.5.0.0/16","Backend":{"Type":"host-gw"}})";

class OverlayTest : public LoopTest {
 protected:
  // The configuration's text; or the error, or what is thrown.
  std::string find() {
    try {
      const Result<Overlay> overlay = run(find_overlay(*store, fallback, options));
      return overlay ? overlay->text : overlay.error().text;
    } catch (const Fatal& error) {
      return std::string("fatal: ") + error.what();
    }
  }

  FakeStore fake;
  const std::unique_ptr<LeaseStore> store = fake.open(loop.get_executor());
  Options options{.adopt_stale = true};
  TestDirectory directory;
  const LastKnownStateFile file{directory.path(), "fake subnet.env"};
  FallbackState fallback{file, *store};
};

TEST_F(OverlayTest, IsWhatTheConfigurationLeadsTo) {
  Result<Overlay> overlay = make_overlay(kConfig, *parse_network_config(kConfig), true);
  ASSERT_TRUE(overlay);
  EXPECT_EQ(overlay->backend->type(), "host-gw");
  EXPECT_TRUE(overlay->scope.adopt_stale);
  fake.config = kConfig;
  EXPECT_EQ(find(), kConfig);
}

TEST_F(OverlayTest, IsNotThereWithoutAConfigurationThatCanBeRead) {
  EXPECT_EQ(find(), "no network configuration in fake yet");
  fake.config = R"({"Network":"10.5.0.0/40"})";
  EXPECT_NE(find().find("10.5.0.0/40"), std::string::npos);
}

TEST_F(OverlayTest, ABackendThatIsUnknownIsNotWaitedFor) {
  fake.config = R"({"Network":"10.5.0.0/16","Backend":{"Type":"nope"}})";
  EXPECT_TRUE(find().starts_with("fatal: Error fetching backend: unknown backend type: nope"));
}

TEST_F(OverlayTest, IsTheOneLastKnownWhereTheStoreIsAway) {
  fake.fail_with("the store is away");
  EXPECT_EQ(find(), "the store is away");
  ASSERT_TRUE(file.write({kConfig, {*parse_lease_key("10.5.1.0-24"), {}, {}}, {}, {}}));
  EXPECT_EQ(find(), kConfig);
  EXPECT_EQ(fallback.cause(), "the store is away");
  fallback.end();
  EXPECT_EQ(find(), "the store is away");
}

TEST_F(OverlayTest, WhatIsNotMasqueradedIsSaidByConfigurationAndOptions) {
  options.ip_masq_exclude = {"192.0.2.0/24"};
  fake.config =
      R"({"Network":"10.5.0.0/16","IPMasqExclude":["198.51.100.0/24","192.0.2.0/24"],"Backend":{"Type":"host-gw"}})";
  const Result<Overlay> overlay = run(find_overlay(*store, fallback, options));
  ASSERT_TRUE(overlay) << overlay.error().text;
  EXPECT_EQ(overlay->masq_excluded, (std::vector<Prefix>{*Prefix::parse("198.51.100.0/24"),
                                                         *Prefix::parse("192.0.2.0/24")}));
  const std::pair<const char*, const char*> refused[] = {
      {R"("10.5.7.0/24")", "\"10.5.7.0/24\" overlaps the network 10.5.0.0/16"},
      {R"("192.0.0.0/16")", "\"192.0.2.0/24\" overlaps \"192.0.0.0/16\""},
      {R"("x\n")", "\"x\\x0a\" is no network, as 192.0.2.0/24 would be"}};
  for (const auto& [value, reason] : refused) {
    fake.config = fmt::format(
        R"({{"Network":"10.5.0.0/16","IPMasqExclude":[{}],"Backend":{{"Type":"host-gw"}}}})",
        value);
    EXPECT_EQ(find(), fmt::format("IPMasqExclude, --ip-masq-exclude: {}", reason));
  }
}

}  // namespace
}  // namespace flannel

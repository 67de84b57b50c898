#include "daemon/config_watch.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <vector>

#include "base/loop_fixture.h"
#include "store/config_changes.h"
#include "test/support/fake_store.h"

namespace flannel {
namespace {

class ConfigWatchTest : public testing::Test {
 protected:
  ConfigWatchTest() {
    store.config = "first";
    watch.on_change = [this](const std::string& text) {
      taken.push_back(text);
      return refusal.empty() ? Result<void>() : fail("{}", refusal);
    };
  }

  asio::io_context io;
  FakeStore store;
  std::unique_ptr<LeaseStore> view = store.open(io.get_executor());
  ConfigWatch watch{*view, "first"};
  std::vector<std::string> taken;
  std::string refusal;
};

using Texts = std::vector<std::string>;

TEST_F(ConfigWatchTest, TakesUpWhatIsAnother) {
  watch.look("first");
  EXPECT_EQ(taken, Texts());
  watch.look("second");
  watch.look("second");
  watch.look("first");
  EXPECT_EQ(taken, (Texts{"second", "first"}));
  EXPECT_EQ(watch.trouble(), "");
}

TEST_F(ConfigWatchTest, SaysWhyTheStoresIsNotTheOneThatIsUsed) {
  refusal = "no good";
  watch.look("second");
  EXPECT_EQ(watch.trouble(), "the network configuration has changed, and is not taken up: no good");
  watch.look(no_config(*view));
  EXPECT_EQ(watch.trouble(),
            "the network configuration has changed, and is not taken up: there is none in fake any "
            "more");
  EXPECT_EQ(taken, Texts{"second"});
  refusal.clear();
  watch.look("first");
  EXPECT_EQ(watch.trouble(), "");
}

TEST_F(ConfigWatchTest, OneThatIsGoneIsSaidAndTakenUpWhenItIsBack) {
  asio::co_spawn(io, watch.follow(), asio::detached);
  store.config.reset();
  ASSERT_TRUE(run_until(io, [&] { return watch.trouble().contains("there is none in fake"); }));
  store.config = "first";
  ASSERT_TRUE(run_until(io, [&] { return watch.trouble().empty(); }));
  EXPECT_EQ(taken, Texts{"first"});
}

// What was put back while the store could not be read is noticed as well.
TEST_F(ConfigWatchTest, GoesOnFromWhatItSawAfterAnOutage) {
  refusal = "no good";
  store.config = "second";
  bool ended = false;
  const auto follow = [&] {
    ended = false;
    asio::co_spawn(io, watch.follow(), [&](const std::exception_ptr&) { ended = true; });
  };
  follow();
  ASSERT_TRUE(run_until(io, [&] { return !watch.trouble().empty(); }));
  store.fail_with("away");
  store.config = "third";
  ASSERT_TRUE(run_until(io, [&] { return ended; }));
  store.config = "first";
  refusal.clear();
  store.fail_with("");
  follow();
  EXPECT_TRUE(run_until(io, [&] { return watch.trouble().empty(); }));
}

// The first changes at once, then two a second, and the last one of them.
TEST_F(ConfigWatchTest, AFloodOfChangesIsNotFollowedOneByOne) {
  asio::co_spawn(io, watch.follow(), asio::detached);
  const auto change = [&](int number, std::chrono::milliseconds limit) {
    const std::size_t before = taken.size();
    store.config = fmt::format("number {}", number);
    return run_until(io, [&] { return taken.size() > before; }, limit);
  };
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(change(i, std::chrono::seconds(20)));
  }
  for (int i = 10; i < 300; ++i) {
    change(i, std::chrono::milliseconds(5));
  }
  EXPECT_LT(taken.size(), 200U);
  EXPECT_TRUE(run_until(io, [&] { return taken.back() == "number 299"; }));
}

}  // namespace
}  // namespace flannel

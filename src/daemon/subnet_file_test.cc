#include "daemon/subnet_file.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <filesystem>

#include "base/directory_fixture.h"
#include "base/file.h"
#include "base/loop_fixture.h"

namespace flannel {
namespace {

using namespace std::chrono_literals;

class SubnetFileTest : public testing::Test {
 protected:
  SubnetFileTest() {
    file_.on_tried = [this] { ++changes_; };
  }

  void start() { asio::co_spawn(io_, file_.run(), asio::detached); }
  template <class Condition>
  bool run_until(Condition condition) {
    return flannel::run_until(io_, condition);
  }
  std::string text(const std::string& name) const {
    return read_file(folder_ / name).value_or("none");
  }

  const TestDirectory directory_;
  const std::filesystem::path folder_ = directory_.path();
  asio::io_context io_;
  SubnetFile file_{io_.get_executor(), folder_ / "a/subnet.env", Backoff(1ms, 4ms)};
  int changes_ = 0;
};

TEST_F(SubnetFileTest, IsWrittenWhenWhatItSaysChanges) {
  file_.set("one\n");
  start();
  ASSERT_TRUE(run_until([&] { return text("a/subnet.env") == "one\n"; }));
  file_.set("one\n");
  file_.set("two\n");
  ASSERT_TRUE(run_until([&] { return text("a/subnet.env") == "two\n"; }));
  io_.run_for(10ms);
  EXPECT_EQ(changes_, 2);
}

TEST_F(SubnetFileTest, WhyItIsNotThereIsSaidUntilItIs) {
  file_.explain("no lease\x1b yet");
  EXPECT_EQ(text("a/subnet.env.reason"), "no lease\\x1b yet\n");
  file_.set("one\n");
  start();
  ASSERT_TRUE(run_until([&] { return file_.is_written(); }));
  EXPECT_EQ(text("a/subnet.env.reason"), "none");
  file_.explain("too late");
  EXPECT_EQ(text("a/subnet.env.reason"), "none");
}

TEST_F(SubnetFileTest, WhereItCannotBeWrittenThatIsATroubleUntilItCan) {
  std::filesystem::create_directories(folder_ / "a/subnet.env");
  EXPECT_FALSE(file_.is_set());
  file_.set("one\n");
  EXPECT_TRUE(file_.is_set());
  EXPECT_FALSE(file_.is_tried());
  start();
  ASSERT_TRUE(run_until([&] { return file_.is_tried() && changes_ > 0; }));
  EXPECT_NE(file_.trouble().find("Is a directory"), std::string::npos) << file_.trouble();
  EXPECT_FALSE(file_.is_written());
  std::filesystem::remove(folder_ / "a/subnet.env");
  ASSERT_TRUE(run_until([&] { return file_.is_written(); }));
  EXPECT_EQ(file_.trouble(), "");
}

}  // namespace
}  // namespace flannel

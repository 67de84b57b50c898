#include "daemon/state_writer.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <filesystem>
#include <fstream>

#include "base/directory_fixture.h"
#include "base/loop_fixture.h"

namespace flannel {
namespace {

using namespace std::chrono_literals;

class StateWriterTest : public testing::Test {
 protected:
  static Lease lease(unsigned i) {
    return {*parse_lease_key(fmt::format("10.5.{}.0-24", i)),
            {.public_ip = *IpAddr::parse(fmt::format("198.18.1.{}", i)), .backend_type = "host-gw"},
            {}};
  }
  void start(std::chrono::milliseconds delay = 1ms) {
    writer.emplace(io.get_executor(), file, StateWriter::Inputs{config, own, peers},
                   StateWriter::Timing{.delay = delay, .retries = Backoff(1ms, 8ms)});
    asio::co_spawn(io, writer->run(), asio::detached);
  }
  void put(unsigned i) { writer->peers_changed(peers.apply({.leases = {lease(i)}})); }
  void remove(unsigned i) { writer->peers_changed(peers.apply({.removed = {lease(i).key}})); }

  // Numbers of the peers in the file; -1 where there is none.
  std::vector<int> written() const {
    const Result<LastKnownState> state = file.read();
    if (!state) {
      return {-1};
    }
    std::vector<int> numbers;
    for (const Lease& peer : state->peers) {
      numbers.push_back(static_cast<int>(peer.key.v4->ip.number() >> 8) & 255);
    }
    return numbers;
  }
  bool becomes(const std::vector<int>& numbers) {
    return run_until(io, [&] { return written() == numbers; });
  }

  TestDirectory directory;
  const std::string folder = directory.file("state");
  const LastKnownStateFile file{folder, "etcd subnet.env"};
  const std::string config = R"({"Network":"10.5.0.0/16"})";
  Lease own = lease(60);
  Peers peers{*parse_network_config(config), own};
  asio::io_context io;
  std::optional<StateWriter> writer;
};

TEST_F(StateWriterTest, WritesWhatChanges) {
  start();
  put(1);
  io.run_for(20ms);
  EXPECT_EQ(written(), std::vector{-1}) << "nobody has said yet who there is";
  writer->begin();
  writer->changed();
  EXPECT_TRUE(becomes({1}));
  EXPECT_EQ(file.read()->config, config);
  EXPECT_EQ(file.read()->own, own);
  put(2);
  put(3);
  EXPECT_TRUE(becomes({1, 2, 3}));
  remove(2);
  EXPECT_TRUE(becomes({1, 3}));
  own.attrs.backend_type = "vxlan";
  writer->changed();
  EXPECT_TRUE(run_until(io, [&] { return file.read()->own == own; }));
}

TEST_F(StateWriterTest, AFileThatIsGoneIsWrittenAnewWithAllThatThereIs) {
  start();
  writer->begin();
  put(1);
  ASSERT_TRUE(becomes({1}));
  std::filesystem::remove_all(folder);
  put(2);
  EXPECT_TRUE(becomes({1, 2}));
}

TEST_F(StateWriterTest, WhyItCannotBeWrittenIsATroubleUntilItCan) {
  {
    std::ofstream in_the_way(folder);
  }
  start();
  writer->begin();
  put(1);
  ASSERT_TRUE(run_until(io, [&] { return !writer->trouble().empty(); }));
  std::filesystem::remove(folder);
  EXPECT_TRUE(becomes({1})) << "without a change that would write it";
  EXPECT_TRUE(run_until(io, [&] { return writer->trouble().empty(); }));
}

TEST_F(StateWriterTest, TheLastWriteDoesNotWaitForTheDelay) {
  start(1h);
  writer->begin();
  put(1);
  io.run_for(5ms);
  EXPECT_EQ(written(), std::vector{-1});
  writer->write_last();
  EXPECT_EQ(written(), std::vector{1});
}

}  // namespace
}  // namespace flannel

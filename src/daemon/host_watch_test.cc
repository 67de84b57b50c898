#include "daemon/host_watch.h"

#include <gtest/gtest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <system_error>

#include "backend/backend_fixture.h"
#include "base/loop_fixture.h"

namespace flannel {
namespace {

using namespace std::chrono_literals;

// With the interfaces that the test gives it.
class TestHost : public Kernel, public HostNetwork {
 public:
  Result<void> claim(const Scope&) override { return {}; }
  void dump(const Scope&, KindSet, Snapshot&) override {}
  std::vector<OpResult> apply(std::span<const Op>) override { return {}; }
  int notify_fd() const override { return -1; }
  HostView host() override {
    if (interrupted) {
      throw std::system_error(EINTR, std::generic_category(), "the list of interfaces");
    }
    return view;
  }
  std::vector<Path> paths(std::span<const IpAddr> to) override {
    return std::vector<Path>(to.size());
  }
  Changes changes(const Scope&) override {
    ++reads;
    return {};
  }

  HostView view;
  bool interrupted = false;
  int reads = 0;
};

class HostWatchTest : public testing::Test {
 protected:
  HostWatchTest() {
    set_interface("198.18.0.2", 1500);
    watch.on_look = [this] { ++looks; };
    watch.on_use = [this](HostUse found) { use = std::move(found); };
    watch.on_trouble = [this] { troubles.push_back(watch.trouble()); };
    watch.on_interface = [this](const LeaseAttrs& attrs) { announced.push_back(attrs); };
  }

  void set_interface(const std::string& ip, std::uint32_t mtu) {
    host.view.interfaces = {
        {"eth0", 2, mtu, true, {{.prefix = {*IpAddr::parse(ip), std::uint8_t{16}}}}}};
  }
  // Until it fails.
  void start() {
    failure.clear();
    asio::co_spawn(io, watch.run(),
                   [this](const std::exception_ptr& thrown) { failure = failure_text(thrown); });
    turn();
  }
  void turn() {
    io.restart();
    io.run_for(20ms);
    io.poll();  // what is due by now, also where we had no processor meanwhile
  }
  void change() {
    watch.changed();
    turn();
  }

  asio::io_context io;
  TestHost host;
  Overlay overlay = *make_overlay("", test_network(R"({"Type":"vxlan"})"), false);
  HostWatch watch{io.get_executor(), host, host, overlay, {}, {.names = {"eth0"}},
                  {.debounce = 1ms}};
  int looks = 0;
  HostUse use;
  std::vector<std::string> troubles;
  std::vector<LeaseAttrs> announced;
  std::string failure;
};

TEST_F(HostWatchTest, ChoosesAtTheStartAsSoonAsThereIsSomething) {
  const std::vector<HostInterface> interfaces = std::exchange(host.view.interfaces, {});
  EXPECT_FALSE(watch.choose());
  EXPECT_EQ(watch.external(), nullptr);
  host.view.interfaces = interfaces;
  ASSERT_TRUE(watch.choose());
  EXPECT_EQ(watch.external()->public_v4, IpAddr::parse("198.18.0.2"));
  EXPECT_EQ(watch.pod_mtu(), 1450U);
  EXPECT_EQ(watch.announcement().public_ip, IpAddr::parse("198.18.0.2"));
  EXPECT_EQ(watch.use().addresses.size(), 1U);
  EXPECT_EQ(host.reads, 3) << "the host is as new as the notifications";
}

TEST_F(HostWatchTest, WhatTheStoreKnowsOfTheNodeIsPublishedAgain) {
  const NodeFacts facts{
      .public_ip = *IpAddr::parse("203.0.113.7"),
      .public_ipv6 = {},
      .published = LeaseAttrs{.backend_data = R"({"VNI":1,"VtepMAC":"02:00:5e:10:00:01"})"}};
  HostWatch known(io.get_executor(), host, host, overlay, facts,
                  {.names = {"eth0"}, .public_ip = "198.18.0.5"}, {});
  ASSERT_TRUE(known.choose());
  EXPECT_EQ(known.announcement().public_ip, facts.public_ip);
  EXPECT_EQ(known.announcement().backend_data, facts.published->backend_data);
  EXPECT_EQ(known.external()->v4, IpAddr::parse("198.18.0.2"));
}

TEST_F(HostWatchTest, AnInterfaceThatTheBackendCannotUseIsNotWaitedFor) {
  set_interface("198.18.0.2", 60);
  EXPECT_THROW(static_cast<void>(watch.choose()), Fatal);
}

TEST_F(HostWatchTest, WhatIsOtherIsTakenUpAndTold) {
  ASSERT_TRUE(watch.choose());
  start();
  change();
  EXPECT_EQ(looks, 2);
  EXPECT_TRUE(announced.empty()) << "nothing is other";
  set_interface("198.18.0.77", 1400);
  change();
  ASSERT_EQ(announced.size(), 1U);
  EXPECT_EQ(announced[0], watch.announcement());
  EXPECT_EQ(announced[0].public_ip, IpAddr::parse("198.18.0.77"));
  EXPECT_EQ(watch.pod_mtu(), 1350U);
  ASSERT_EQ(use.addresses.size(), 1U);
  EXPECT_EQ(use.addresses[0].prefix.ip, IpAddr::parse("198.18.0.77"));
  EXPECT_TRUE(troubles.empty());
}

TEST_F(HostWatchTest, TheLastOneIsKeptWhereThereIsNoOther) {
  ASSERT_TRUE(watch.choose());
  start();
  const std::vector<HostInterface> interfaces = std::exchange(host.view.interfaces, {});
  change();
  change();
  ASSERT_EQ(troubles.size(), 1U);
  EXPECT_NE(troubles[0].find("eth0"), std::string::npos) << troubles[0];
  set_interface("198.18.0.2", 60);  // too small
  change();
  ASSERT_EQ(troubles.size(), 2U);
  EXPECT_EQ(watch.external()->mtu, 1500U);
  EXPECT_EQ(watch.pod_mtu(), 1450U);
  host.view.interfaces = interfaces;
  change();
  ASSERT_EQ(troubles.size(), 3U);
  EXPECT_EQ(troubles[2], "");
  EXPECT_TRUE(announced.empty());
}

TEST_F(HostWatchTest, OneThatIsDownOrHasNoCarrierIsKeptAndNamedUntilItIsBack) {
  host.view.interfaces[0].up = host.view.interfaces[0].has_carrier = false;
  ASSERT_TRUE(watch.choose());
  start();
  EXPECT_EQ(watch.trouble(), "eth0 is down") << "from the start";
  host.view.interfaces[0].up = true;
  change();
  EXPECT_EQ(watch.trouble(), "eth0 has no carrier");
  host.view.interfaces[0].has_carrier = true;
  change();
  EXPECT_EQ(troubles, (std::vector<std::string>{"eth0 is down", "eth0 has no carrier", ""}));
  EXPECT_TRUE(announced.empty());
}

TEST_F(HostWatchTest, AChangeThatComesWithALookIsLookedAtNext) {
  ASSERT_TRUE(watch.choose());
  watch.on_look = [this] {
    if (++looks == 1) {
      watch.changed();
    }
  };
  start();
  EXPECT_EQ(looks, 2);
}

// The only notification of a change is not lost with the look that it leads to.
TEST_F(HostWatchTest, ALookThatFailsIsMadeAgain) {
  ASSERT_TRUE(watch.choose());
  start();
  set_interface("198.18.0.77", 1500);
  host.interrupted = true;
  change();
  EXPECT_NE(failure, "");
  host.interrupted = false;
  start();
  EXPECT_EQ(announced.size(), 1U);
}

}  // namespace
}  // namespace flannel

// New flows while our rules are made, changed, mended and exchanged: none leaves with the address
// that it would have without them.
#include <atomic>
#include <thread>

#include "test/cni/pod_fixture.h"
#include "test/firewall/firewall_part_fixture.h"

namespace flannel {
namespace {

// A host with an address of the overlay, and somebody outside of it.
class FirewallPacketsTest : public FirewallPartTest {
 protected:
  static constexpr std::uint64_t kFewFlows = 10;

  void SetUp() override {
    FirewallPartTest::SetUp();
    if (IsSkipped() || HasFatalFailure()) {
      return;
    }
    outside_.emplace();
    shell(
        fmt::format("ip link set lo up; ip addr add 10.5.1.1/24 dev lo;"
                    "ip link add eth0 type veth peer name eth0 netns {}; ip link set eth0 up;"
                    "ip addr add 198.18.0.2/24 dev eth0",
                    outside_->path()));
    outside_->shell("ip link set eth0 up; ip addr add 198.18.0.3/24 dev eth0");
    shell("ping -c 1 -w 10 -i 0.2 198.18.0.3");
    outside_->run([&] { receiver_ = receiving(); });
    sender_ = std::thread([this] { send(); });
    counter_ = std::thread([this] { count(); });
  }
  void TearDown() override {
    stop_ = true;
    for (std::thread* thread : {&sender_, &counter_}) {
      if (thread->joinable()) {
        thread->join();
      }
    }
  }

  // Flows of the time in between, by the address that is seen outside.
  struct Flows {
    std::uint64_t masqueraded = 0, others = 0;
  };
  // While it works, and works again where hardly any flow was meanwhile.
  template <class Work>
  Flows during(Work work) {
    // What is under way still counts to before.
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    const std::uint64_t masqueraded = masqueraded_, others = others_;
    const auto seen = [&] { return Flows{masqueraded_ - masqueraded, others_ - others}; };
    for (int i = 0; i < 100 && seen().masqueraded + seen().others <= kFewFlows; ++i) {
      work();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    return seen();
  }
  void expect_none_lost(const Flows& flows, const std::string& what) {
    EXPECT_GT(flows.masqueraded, kFewFlows) << what;
    EXPECT_EQ(flows.others, 0U) << what << ", of " << flows.masqueraded;
  }

 private:
  static constexpr std::uint16_t kPort = 9000;

  static UniqueFd receiving() {
    UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    const sockaddr_storage address = cni::address_of("0.0.0.0", kPort);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(sockaddr_in)),
              0);
    return fd;
  }
  // A flow of one packet each, from the overlay, and none from a port that one had before: the
  // kernel would know how that one was.
  void send() {
    const sockaddr_storage to = cni::address_of("198.18.0.3", kPort);
    for (std::uint16_t port = 1024; !stop_ && port < 65'535; ++port) {
      const sockaddr_storage from = cni::address_of("10.5.1.1", port);
      const UniqueFd fd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&from), sizeof(sockaddr_in));
      ::sendto(fd.get(), "?", 1, 0, reinterpret_cast<const sockaddr*>(&to), sizeof(sockaddr_in));
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  }
  void count() {
    while (!stop_) {
      pollfd ready{receiver_.get(), POLLIN, 0};
      char byte = 0;
      sockaddr_in peer{};
      socklen_t length = sizeof peer;
      if (::poll(&ready, 1, 20) == 1 &&
          ::recvfrom(receiver_.get(), &byte, 1, 0, reinterpret_cast<sockaddr*>(&peer), &length) ==
              1) {
        ++(peer.sin_addr.s_addr == ::inet_addr("198.18.0.2") ? masqueraded_ : others_);
      }
    }
  }

  std::optional<cni::Namespace> outside_;
  UniqueFd receiver_;
  std::thread sender_, counter_;
  std::atomic<bool> stop_ = false;
  std::atomic<std::uint64_t> masqueraded_ = 0, others_ = 0;
};

TEST_F(FirewallPacketsTest, WithoutRulesNoneIsMasqueraded) {
  const Flows flows = during([] { std::this_thread::sleep_for(std::chrono::milliseconds(100)); });
  EXPECT_EQ(flows.masqueraded, 0U);
  EXPECT_GT(flows.others, kFewFlows);
}

TEST_F(FirewallPacketsTest, NoneIsLostWhileRulesChange) {
  const FirewallNetwork other = {*Prefix::parse("10.5.0.0/16"), *Prefix::parse("10.5.9.0/24")};
  for (const std::string kind : {"nft", "legacy"}) {
    use(kind);
    for (const FirewallTool tool : {FirewallTool::nftables, FirewallTool::iptables}) {
      ASSERT_EQ(apply(planned(tool)), "");
      expect_none_lost(during([&] {
                         for (int i = 0; i < 20; ++i) {
                           ASSERT_EQ(apply(planned(tool, other)), "");
                           ASSERT_EQ(apply(planned(tool)), "");
                         }
                       }),
                       fmt::format("{} {}", to_text(tool), kind));
    }
    ASSERT_EQ(apply(NetState()), "");
  }
}

TEST_F(FirewallPacketsTest, NoneIsLostWhileAnotherDaemonTakesOver) {
  for (const FirewallTool tool : {FirewallTool::nftables, FirewallTool::iptables}) {
    ASSERT_EQ(apply(planned(tool)), "");
    expect_none_lost(during([&] {
                       for (int i = 0; i < 5; ++i) {
                         start_again();
                         ASSERT_EQ(apply(planned(tool)), "");
                       }
                     }),
                     std::string(to_text(tool)));
  }
}

TEST_F(FirewallPacketsTest, NoneIsLostWhileTheToolsAreExchanged) {
  for (const std::string kind : {"nft", "legacy"}) {
    use(kind);
    ASSERT_EQ(apply(planned(FirewallTool::nftables)), "");
    expect_none_lost(during([&] {
                       for (int i = 0; i < 10; ++i) {
                         ASSERT_EQ(apply(planned(FirewallTool::iptables)), "");
                         ASSERT_EQ(apply(planned(FirewallTool::nftables)), "");
                       }
                     }),
                     kind);
    ASSERT_EQ(apply(NetState()), "");
  }
}

}  // namespace
}  // namespace flannel

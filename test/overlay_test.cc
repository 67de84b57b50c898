// Real daemons and real packets: pods reach each other, whatever is done to a node.

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/socket.h>

#include <atomic>
#include <bitset>
#include <boost/json.hpp>
#include <thread>

#include "base/file.h"
#include "ctl/lab_journal.h"
#include "network/subnet_env.h"
#include "store/local_store.h"
#include "test/lab_fixture.h"

namespace flannel {
namespace {

// A UDP socket in another network namespace.
UniqueFd socket_in(const std::string& netns) {
  UniqueFd out;
  std::thread([&] {  // setns() is for a thread
    const UniqueFd space(::open(("/run/netns/" + netns).c_str(), O_RDONLY | O_CLOEXEC));
    if (::setns(space.get(), CLONE_NEWNET) == 0) {
      out = UniqueFd(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    }
  })
      .join();
  return out;
}

sockaddr_in endpoint(const std::string& ip) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(7777);
  ::inet_pton(AF_INET, ip.c_str(), &address.sin_addr);
  return address;
}

// A thousand numbered packets a second from one pod to another, until it is stopped.
class Stream {
 public:
  Stream(const std::string& from, const std::string& to, const std::string& ip)
      : in_(socket_in(to)), out_(socket_in(from)) {
    const sockaddr_in target = endpoint(ip);
    const timeval limit{0, 200'000};
    ::setsockopt(in_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    EXPECT_EQ(::bind(in_.get(), reinterpret_cast<const sockaddr*>(&target), sizeof target), 0);
    EXPECT_EQ(::connect(out_.get(), reinterpret_cast<const sockaddr*>(&target), sizeof target), 0);
    receiver_ = std::thread([this] { receive(); });
    sender_ = std::thread([this] { send(); });
  }

  // Packets sent and lost.
  std::pair<unsigned, unsigned> stop() {
    sending_ = false;
    sender_.join();
    receiver_.join();  // after 200 ms without a packet
    return {sent_, sent_ - static_cast<unsigned>(seen_.count())};
  }

 private:
  void send() {
    auto next = std::chrono::steady_clock::now();
    while (sending_ && sent_ < kMost) {
      // A refused send is a lost packet.
      [[maybe_unused]] const ssize_t result = ::send(out_.get(), &sent_, sizeof sent_, 0);
      ++sent_;
      std::this_thread::sleep_until(next += std::chrono::milliseconds(1));
    }
  }
  void receive() {
    unsigned number = 0;
    for (;;) {
      const ssize_t got = ::recv(in_.get(), &number, sizeof number, 0);
      if (got == sizeof number && number < kMost) {
        seen_.set(number);
      } else if (got < 0 && !sending_) {
        return;
      }
    }
  }

  static constexpr unsigned kMost = 100'000;
  UniqueFd in_, out_;
  std::atomic<bool> sending_ = true;
  unsigned sent_ = 0;
  std::bitset<kMost> seen_;
  std::thread receiver_, sender_;
};

class OverlayTest : public testing::Test {
 protected:
  void SetUp() override {
    ROOT_OR_SKIP();
    const ProgramResult up = lab.ctl({"up", "--nodes", "2"});
    ASSERT_EQ(up.status, 0) << up.output;
  }

  Prefix subnet(unsigned node) const {
    const std::string text = *read_file(fmt::format("{}/n{}/subnet.env", lab.directory(), node));
    return parse_subnet_env(text).subnet.value().masked();
  }
  std::string pod(unsigned node) const {
    return IpAddr::from_number(Family::v4, subnet(node).ip.number() + 2).to_text();
  }
  bool ping(Arguments options = {}) const {
    Arguments words{"ping", "-n", "-q", "-c", "1", "-W", "1"};
    words.insert(words.end(), options.begin(), options.end());
    words.push_back(pod(2));
    return lab.on("p1", words).status == 0;
  }
  bool is_as_planned(unsigned node) const { return lab.page(node, "/plan").empty(); }
  boost::json::value status(unsigned node) const {
    boost::system::error_code error;
    return boost::json::parse(lab.page(node, "/status"), error);
  }
  std::string store() const { return lab.directory() + "/leases.db"; }
  Lease lease_of(unsigned node) const {
    for (const Lease& lease : list_local_leases(store()).value()) {
      if (lease.key.v4 == subnet(node)) {
        return lease;
      }
    }
    return {};
  }
  std::unique_ptr<Stream> stream() const {
    return std::make_unique<Stream>(lab.name() + "-p1", lab.name() + "-p2", pod(2));
  }

  const TestLab lab;
};

TEST_F(OverlayTest, PacketsOfTheFullMtuPassAndLargerOnesDoNot) {
  EXPECT_TRUE(ping({"-M", "do", "-s", "1422"}));  // 1422 + 8 + 20 = 1450
  EXPECT_FALSE(ping({"-M", "do", "-s", "1423"}));
  EXPECT_TRUE(ping({"-s", "4000"}));  // in fragments
}

TEST_F(OverlayTest, ARestartLosesNoPacketAndWritesNothing) {
  for (const bool kill : {false, true}) {
    const std::unique_ptr<Stream> packets = stream();
    ASSERT_EQ(lab.ctl(kill ? Arguments{"stop", "n1", "--kill"} : Arguments{"stop", "n1"}).status,
              0);
    ASSERT_EQ(lab.ctl({"start", "n1"}).status, 0);
    EXPECT_TRUE(eventually([&] { return lab.page(1, "/readyz") == "flanneld is ready"; }));
    const auto [sent, lost] = packets->stop();
    EXPECT_GT(sent, 0U);
    EXPECT_EQ(lost, 0U) << (kill ? "SIGKILL" : "SIGTERM");
    EXPECT_EQ(status(1).at_pointer("/kernel/changes").as_int64(), 0);
  }
}

TEST_F(OverlayTest, WhateverIsDoneToTheDeviceHeals) {
  const std::string route = subnet(2).to_text();
  const Arguments sabotage[] = {
      {"link", "del", "flannel.1"},
      {"link", "set", "flannel.1", "down"},
      {"link", "set", "flannel.1", "mtu", "1000"},
      {"link", "set", "flannel.1", "address", "02:00:00:00:00:01"},
      {"addr", "flush", "dev", "flannel.1"},
      {"addr", "add", "10.5.0.77/32", "dev", "flannel.1"},
      {"route", "del", route},
      {"neigh", "flush", "dev", "flannel.1", "nud", "permanent"},
      {"nexthop", "flush", "proto", "70"},
  };
  for (const Arguments& words : sabotage) {
    std::string text;
    for (const std::string& word : words) {
      text += word + " ";
    }
    EXPECT_EQ(lab.ip("n1", words).status, 0) << text;
    EXPECT_TRUE(eventually([&] { return is_as_planned(1); })) << text << lab.page(1, "/plan");
    EXPECT_TRUE(ping()) << text;
  }
  run_program({"bridge", "-n", lab.name() + "-n1", "fdb", "flush", "dev", "flannel.1"});
  EXPECT_TRUE(eventually([&] { return is_as_planned(1); }));
  EXPECT_TRUE(ping());
}

TEST_F(OverlayTest, ForeignObjectsStay) {
  const std::string device = lab.ip("n1", {"-br", "link", "show", "flannel.1"}).output;
  lab.ip("n1", {"route", "add", "192.0.2.0/24", "dev", "eth0"});
  lab.ip("n1", {"nexthop", "add", "id", "5", "dev", "eth0"});
  lab.ip("n1", {"link", "add", "other0", "type", "bridge"});
  lab.ip("n1", {"link", "del", "flannel.1"});
  EXPECT_TRUE(eventually([&] { return is_as_planned(1); }));
  EXPECT_NE(lab.ip("n1", {"route"}).output.find("192.0.2.0/24 dev eth0"), std::string::npos);
  EXPECT_NE(lab.ip("n1", {"nexthop"}).output.find("id 5 "), std::string::npos);
  EXPECT_EQ(lab.ip("n1", {"link", "show", "other0"}).status, 0);
}

TEST_F(OverlayTest, BadPeersAreRefusedByNameAndGoodOnesAreNotAffected) {
  Lease outside = lease_of(2);
  outside.key.v4 = *Prefix::parse("10.9.0.0/24");
  Lease ourselves = lease_of(1);
  ourselves.key.v4 = *Prefix::parse("10.5.255.128/25");
  Lease overlapping = lease_of(2);
  overlapping.key.v4->length = 25;
  overlapping.attrs.public_ip = *IpAddr::parse("198.18.0.99");
  const std::vector<Lease> bad{outside, ourselves, overlapping};
  const std::unique_ptr<Stream> packets = stream();
  ASSERT_TRUE(put_local_leases(store(), bad));
  EXPECT_TRUE(eventually([&] {
    return status(1).at_pointer("/peers/refused").as_array().size() == 3;
  })) << lab.page(1, "/status");
  EXPECT_EQ(packets->stop().second, 0U);
  const std::string page = lab.page(1, "/status");
  for (const Lease& lease : bad) {
    EXPECT_NE(page.find(to_text(lease.key)), std::string::npos);
  }
  EXPECT_TRUE(is_as_planned(1));
}

TEST_F(OverlayTest, ALeaseThatIsGoneIsTakenAgainUnderTraffic) {
  const Lease before = lease_of(1);
  const std::unique_ptr<Stream> packets = stream();
  LeaseFile(store(), LeaseFile::IfMissing::refuse, [] {
    return std::chrono::system_clock::now();
  }).remove(before.key);
  EXPECT_TRUE(eventually([&] { return lease_of(1).key == before.key; }));
  EXPECT_EQ(lease_of(1).attrs, before.attrs);
  EXPECT_TRUE(eventually([&] {
    return status(2).at_pointer("/peers/count").as_int64() == 1 && is_as_planned(1) &&
           is_as_planned(2);
  }));
  packets->stop();  // the peer may have dropped us for as long as our lease was gone
  EXPECT_TRUE(ping());
}

TEST_F(OverlayTest, ALeaseThatAnotherNodeTookEndsTheDaemonAndNotTheTraffic) {
  Lease stolen = lease_of(1);
  stolen.attrs.public_ip = *IpAddr::parse("198.18.0.99");
  const Result<LabRecord> record = LabJournal(lab.directory() + "/journal").read();
  const ProcessId daemon = record->processes.at("n1");
  ASSERT_TRUE(put_local_leases(store(), std::span(&stolen, 1)));
  EXPECT_TRUE(eventually([&] { return !is_alive(daemon); }));
  const std::string log = *read_file(lab.directory() + "/n1.log");
  EXPECT_NE(log.find("is held by 198.18.0.99"), std::string::npos) << log;
  EXPECT_EQ(lab.ip("n1", {"link", "show", "flannel.1"}).status, 0);
  EXPECT_NE(lab.ip("n1", {"route"}).output.find(subnet(2).to_text()), std::string::npos);
}

TEST_F(OverlayTest, AnInterfaceThatGetsAnotherAddressIsFollowed) {
  ASSERT_EQ(lab.ip("n1", {"addr", "del", "198.18.0.11/16", "dev", "eth0"}).status, 0);
  ASSERT_EQ(lab.ip("n1", {"addr", "add", "198.18.0.111/16", "dev", "eth0"}).status, 0);
  EXPECT_TRUE(eventually([&] {
    return lease_of(1).attrs.public_ip == *IpAddr::parse("198.18.0.111") && is_as_planned(1) &&
           is_as_planned(2) && ping();
  })) << lab.page(1, "/status");
}

}  // namespace
}  // namespace flannel

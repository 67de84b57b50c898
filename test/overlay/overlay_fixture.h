// Two nodes of a lab with pods, and streams of packets between them.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <bitset>
#include <boost/json.hpp>
#include <thread>

#include "base/file.h"
#include "ctl/netns_socket.h"
#include "network/subnet_env.h"
#include "store/local_store.h"
#include "test/support/lab_fixture.h"

namespace flannel {

// Where packets of tests go.
inline sockaddr_in6 endpoint(const IpAddr& ip) {
  return udp_endpoint(ip, 7777);
}

// A thousand numbered packets a second from one pod to another, until it is stopped.
class Stream {
 public:
  Stream(const std::string& from, const std::string& to, const IpAddr& ip)
      : in_(udp_socket_in(to)), out_(udp_socket_in(from)) {
    const sockaddr_in6 target = endpoint(ip);
    const timeval limit{0, 200'000};
    ::setsockopt(in_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    // What arrived is not lost for being read late.
    const int size = 4 << 20;
    ::setsockopt(in_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    EXPECT_EQ(::bind(in_.get(), reinterpret_cast<const sockaddr*>(&target), sizeof target), 0);
    EXPECT_EQ(::connect(out_.get(), reinterpret_cast<const sockaddr*>(&target), sizeof target), 0);
    receiver_ = std::thread([this] { receive(); });
    sender_ = std::thread([this] { send(); });
  }

  ~Stream() {
    if (sender_.joinable()) {
      stop();
    }
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // Packets sent and lost.
  std::pair<unsigned, unsigned> stop() {
    sending_ = false;
    sender_.join();
    all_sent_ = true;
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
      } else if (got < 0 && all_sent_) {
        return;
      }
    }
  }

  static constexpr unsigned kMost = 100'000;
  UniqueFd in_, out_;
  std::atomic<bool> sending_ = true, all_sent_ = false;
  unsigned sent_ = 0;
  std::bitset<kMost> seen_;
  std::thread receiver_, sender_;
};

inline void expect_no_loss(Stream& packets) {
  const auto [sent, lost] = packets.stop();
  EXPECT_GT(sent, 50U);
  EXPECT_EQ(lost, 0U);
}

class OverlayFixture : public testing::Test {
 protected:
  // `flannelctl lab up` and these options; two nodes, unless they say how many.
  void make_lab(const Arguments& options) {
    Arguments words{"up"};
    if (std::ranges::find(options, "--nodes") == options.end()) {
      words.insert(words.end(), {"--nodes", "2"});
    }
    words.insert(words.end(), options.begin(), options.end());
    const ProgramResult up = lab.ctl(words);
    ASSERT_EQ(up.status, 0) << up.output;
  }

  SubnetEnv subnet_env(unsigned node) const {
    return parse_subnet_env(
        read_file(fmt::format("{}/n{}/subnet.env", lab.directory(), node)).value_or(""));
  }
  Prefix subnet(unsigned node, Family family = Family::v4) const {
    return subnet_env(node).key().family(family).value();
  }
  // One of no node: theirs are drawn.
  Prefix free_subnet() const {
    Prefix out = *Prefix::parse("10.5.250.0/24");
    while (out == subnet(1) || out == subnet(2)) {
      out.ip = IpAddr::from_number(Family::v4, out.ip.number() - 256);
    }
    return out;
  }
  IpAddr pod(unsigned node, Family family = Family::v4) const {
    return IpAddr::from_number(family, subnet(node, family).ip.number() + 2);
  }
  bool ping(Arguments options = {}, Family family = Family::v4) const {
    Arguments words{"ping", "-n", "-q", "-c", "1", "-W", "1"};
    words.insert(words.end(), options.begin(), options.end());
    words.push_back(pod(2, family).to_text());
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
      if (lease.key == subnet_env(node).key()) {
        return lease;
      }
    }
    return {};
  }
  std::unique_ptr<Stream> stream(Family family = Family::v4) const {
    return std::make_unique<Stream>(lab.name() + "-p1", lab.name() + "-p2", pod(2, family));
  }

  const TestLab lab;
};

}  // namespace flannel

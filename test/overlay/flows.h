// New flows at up to a thousand a second, and the address that each is seen with.
#pragma once

#include <poll.h>

#include "test/overlay/overlay_fixture.h"

namespace flannel {

// A packet each, from a port of its own, so that the kernel decides anew what becomes of it.
class Flows {
 public:
  // From one place of a lab to another's address; `source` is what it should be seen with there.
  Flows(const TestLab& lab, const std::string& from, const std::string& to, const IpAddr& target,
        const IpAddr& source)
      : name_(fmt::format("{} → {} {}", from, to, target.to_text())),
        from_(lab.name() + "-" + from),
        target_(endpoint(target)),
        source_(endpoint(source)),
        in_(udp_socket_in(lab.name() + "-" + to)) {
    const int size = 4 << 20;
    ::setsockopt(in_.get(), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
    EXPECT_EQ(::bind(in_.get(), reinterpret_cast<const sockaddr*>(&target_), sizeof target_), 0);
    sender_ = std::thread([this] { send(); });
    receiver_ = std::thread([this] { receive(); });
  }
  ~Flows() { end(); }
  Flows(const Flows&) = delete;
  Flows& operator=(const Flows&) = delete;

  struct Count {
    unsigned sent = 0, arrived = 0;  // with the source that they should have
    unsigned with_another_source = 0;
  };
  // Since the last call. What is under way has some seconds to arrive.
  Count count() {
    const unsigned sent = sent_;
    eventually([&] { return arrived_ + others_ >= sent; }, std::chrono::seconds(5));
    const Count now{sent, arrived_, others_};
    const Count since{now.sent - before_.sent, now.arrived - before_.arrived,
                      now.with_another_source - before_.with_another_source};
    before_ = now;
    return since;
  }
  // Each arrived with the source that it should. They go on until some were sent, however short the
  // time was that they are about.
  void expect_none_failed(const std::string& what) {
    EXPECT_TRUE(eventually([&] { return sent_ > 50; })) << what << ", " << name_;
    end();
    const Count flows = count();
    EXPECT_EQ(flows.with_another_source, 0U) << what << ", " << name_ << ", of " << flows.sent;
    EXPECT_EQ(flows.arrived, flows.sent) << what << ", " << name_;
  }
  const std::string& name() const { return name_; }

 private:
  void end() {
    sending_ = false;
    if (sender_.joinable()) {
      sender_.join();
      eventually([&] { return arrived_ + others_ >= sent_; }, std::chrono::seconds(5));
      receiving_ = false;
      receiver_.join();
    }
  }
  void send() {
    const UniqueFd space(::open(("/run/netns/" + from_).c_str(), O_RDONLY | O_CLOEXEC));
    ASSERT_EQ(::setns(space.get(), CLONE_NEWNET), 0);
    auto next = std::chrono::steady_clock::now();
    while (sending_) {
      const UniqueFd out(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
      // A refused send is a flow that failed.
      [[maybe_unused]] const ssize_t result = ::sendto(
          out.get(), "?", 1, 0, reinterpret_cast<const sockaddr*>(&target_), sizeof target_);
      ++sent_;
      // What a busy machine kept back is not made up for, which would make it busier.
      next = std::max(next + std::chrono::milliseconds(1), std::chrono::steady_clock::now());
      std::this_thread::sleep_until(next);
    }
  }
  void receive() {
    while (receiving_) {
      pollfd ready{in_.get(), POLLIN, 0};
      char byte = 0;
      sockaddr_in6 peer{};
      socklen_t length = sizeof peer;
      if (::poll(&ready, 1, 20) == 1 &&
          ::recvfrom(in_.get(), &byte, 1, 0, reinterpret_cast<sockaddr*>(&peer), &length) == 1) {
        const bool right =
            std::equal(std::begin(peer.sin6_addr.s6_addr), std::end(peer.sin6_addr.s6_addr),
                       std::begin(source_.sin6_addr.s6_addr));
        ++(right ? arrived_ : others_);
      }
    }
  }

  const std::string name_, from_;
  const sockaddr_in6 target_, source_;
  UniqueFd in_;
  std::atomic<bool> sending_ = true, receiving_ = true;
  std::atomic<unsigned> sent_ = 0, arrived_ = 0, others_ = 0;
  Count before_;
  std::thread sender_, receiver_;
};

}  // namespace flannel

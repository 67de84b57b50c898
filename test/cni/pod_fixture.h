// What tests of a container's rules share: a host in a network namespace that ends with the test,
// a bridge with one container, and somebody outside who reaches the host by 198.18.0.2.
#pragma once

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netdb.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "base/file.h"
#include "process/process.h"
#include "test/support/needs.h"
#include "test/support/shell.h"

namespace flannel::cni {

// As many rules of others in iptables' nat table as big clusters have services: more than is read
// of any program.
inline void fill_nat_table() {
  shell(
      "{ echo '*nat'; echo ':SERVICES - [0:0]'; comment=$(printf %0250d 0);"
      "  i=0; while [ $i -lt 14000 ]; do"
      "    echo \"-A SERVICES -p tcp --dport 80 -m comment --comment $comment -j ACCEPT\";"
      "    i=$((i + 1)); done; echo COMMIT; } | iptables-restore --noflush");
}

// Lives as long as the object.
class Namespace {
 public:
  Namespace() {
    std::thread([this] {
      EXPECT_EQ(::unshare(CLONE_NEWNET), 0);
      fd_ = UniqueFd(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    }).join();
  }

  std::string path() const { return fmt::format("/proc/{}/fd/{}", ::getpid(), fd_.get()); }
  void run(const std::function<void()>& work) const {
    std::thread([&] {
      ASSERT_EQ(::setns(fd_.get(), CLONE_NEWNET), 0);
      work();
    }).join();
  }
  void shell(const std::string& commands) const {
    flannel::shell(fmt::format("nsenter --net={} /bin/sh -ec '{}'", path(), commands));
  }

 private:
  UniqueFd fd_;
};

inline sockaddr_storage address_of(const std::string& ip, std::uint16_t port) {
  sockaddr_storage out{};
  if (auto* v6 = reinterpret_cast<sockaddr_in6*>(&out);
      ::inet_pton(AF_INET6, ip.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
  } else {
    auto* v4 = reinterpret_cast<sockaddr_in*>(&out);
    ::inet_pton(AF_INET, ip.c_str(), &v4->sin_addr);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
  }
  return out;
}

inline socklen_t length_of(const sockaddr_storage& address) {
  return address.ss_family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
}

// Tells whoever asks which address it is seen with, by TCP and UDP of both families.
class EchoServer {
 public:
  EchoServer(const Namespace& where, std::uint16_t tcp, std::uint16_t udp) {
    where.run([&] {
      tcp_ = listening(SOCK_STREAM, tcp);
      udp_ = listening(SOCK_DGRAM, udp);
    });
    thread_ = std::thread([this] { serve(); });
  }
  ~EchoServer() {
    stop_ = true;
    thread_.join();
  }

 private:
  static UniqueFd listening(int type, std::uint16_t port) {
    UniqueFd fd(::socket(AF_INET6, type | SOCK_CLOEXEC, 0));
    const sockaddr_storage address = address_of("::", port);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), length_of(address)), 0);
    if (type == SOCK_STREAM) {
      EXPECT_EQ(::listen(fd.get(), 16), 0);
    }
    return fd;
  }
  static std::string text_of(const sockaddr_storage& peer, socklen_t length) {
    char text[64] = "";
    ::getnameinfo(reinterpret_cast<const sockaddr*>(&peer), length, text, sizeof text, nullptr, 0,
                  NI_NUMERICHOST);
    const std::string all(text);
    return all.starts_with("::ffff:") ? all.substr(7) : all;
  }
  void serve() {
    while (!stop_) {
      pollfd readable[] = {{tcp_.get(), POLLIN, 0}, {udp_.get(), POLLIN, 0}};
      ::poll(readable, 2, 20);
      sockaddr_storage peer{};
      socklen_t length = sizeof peer;
      if (readable[0].revents != 0) {
        const UniqueFd client(::accept(tcp_.get(), reinterpret_cast<sockaddr*>(&peer), &length));
        const std::string text = text_of(peer, length);
        ::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL);
      }
      if (readable[1].revents != 0) {
        char byte = 0;
        ::recvfrom(udp_.get(), &byte, 1, 0, reinterpret_cast<sockaddr*>(&peer), &length);
        const std::string text = text_of(peer, length);
        ::sendto(udp_.get(), text.data(), text.size(), 0, reinterpret_cast<sockaddr*>(&peer),
                 length);
      }
    }
  }

  UniqueFd tcp_, udp_;
  std::atomic<bool> stop_ = false;
  std::thread thread_;
};

inline UniqueFd connected(int type, const std::string& ip, std::uint16_t port) {
  const sockaddr_storage to = address_of(ip, port);
  UniqueFd fd(::socket(to.ss_family, type | SOCK_CLOEXEC, 0));
  const timeval limit{1, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&to), length_of(to)) != 0) {
    return {};
  }
  return fd;
}

// The server's answer: the address that it sees. Empty where nobody answers.
inline std::string answer_by(const UniqueFd& fd) {
  char text[64];
  ::send(fd.get(), "?", 1, MSG_NOSIGNAL);
  const ssize_t got = ::recv(fd.get(), text, sizeof text, 0);
  return got <= 0 ? "" : std::string(text, static_cast<std::size_t>(got));
}

class PodTest : public testing::Test {
 protected:
  void SetUp() override {
    ROOT_OR_SKIP();
    for (const char* program : {"iptables-restore", "nft"}) {
      NEEDS(find_program(program, "/usr/sbin:/sbin:/usr/bin"), std::string("no ") + program);
    }
    ASSERT_EQ(::unshare(CLONE_NEWNET), 0);
    pod_.emplace();
    outside_.emplace();
    // No second of waiting for duplicates of IPv6 addresses.
    const std::string usable_at_once =
        "sysctl -qw net.ipv6.conf.default.accept_dad=0 net.ipv6.conf.all.accept_dad=0;";
    pod_->shell(usable_at_once);
    outside_->shell(usable_at_once);
    shell(usable_at_once +
          fmt::format(
              "set -e; ip link set lo up; sysctl -qw net.ipv4.ip_forward=1 "
              "net.ipv6.conf.all.forwarding=1;"
              "ip link add cni0 type bridge; ip link set cni0 up;"
              "ip addr add 10.244.1.1/24 dev cni0; ip addr add fd00:1::1/64 dev cni0 nodad;"
              "ip link add veth0 type veth peer name eth0 netns {};"
              "ip link set veth0 master cni0 up; ip link set veth0 type bridge_slave hairpin on;"
              "ip link add eth0 type veth peer name eth0 netns {}; ip link set eth0 up;"
              "ip addr add 198.18.0.2/24 dev eth0; ip addr add fd00:2::2/64 dev eth0 nodad",
              pod_->path(), outside_->path()));
    pod_->shell(
        "ip link set lo up; ip link set eth0 up; ip addr add 10.244.1.5/24 dev eth0;"
        "ip addr add fd00:1::5/64 dev eth0 nodad;"
        "ip route add default via 10.244.1.1; ip route add default via fd00:1::1");
    outside_->shell(
        "ip link set lo up; ip link set eth0 up; ip addr add 198.18.0.3/24 dev eth0;"
        "ip addr add fd00:2::3/64 dev eth0 nodad");
    // The kernel gives ports to their bridge and IPv6 addresses to use behind our back.
    for (const char* address : {"10.244.1.5", "fd00:1::5", "198.18.0.3", "fd00:2::3"}) {
      shell(fmt::format("ping -c 1 -w 10 -i 0.2 {}", address));
    }
  }

  static std::string ask(int type, const std::string& ip, std::uint16_t port) {
    return answer_by(connected(type, ip, port));
  }
  static std::string ask_from(const Namespace& where, int type, const std::string& ip,
                              std::uint16_t port) {
    std::string answer;
    where.run([&] { answer = ask(type, ip, port); });
    return answer;
  }

  // Every rule of the host, without counters and the programs' remarks.
  static std::string rules() {
    return shell(
        "{ iptables-save -t nat; ip6tables-save -t nat; nft list ruleset; } 2>/dev/null |"
        "grep -vE '^#|0{250}' | sed 's/packets [0-9]* bytes [0-9]*//'");
  }
  static std::size_t count(const std::string& text, const std::string& part) {
    std::size_t found = 0;
    for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
      ++found;
    }
    return found;
  }

  std::optional<Namespace> pod_, outside_;
};

}  // namespace flannel::cni

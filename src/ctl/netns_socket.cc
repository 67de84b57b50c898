#include "ctl/netns_socket.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>

#include <thread>

namespace flannel {

UniqueFd udp_socket_in(const std::string& netns) {
  UniqueFd out;
  std::thread([&] {  // setns() is for a thread
    const UniqueFd space(::open(("/run/netns/" + netns).c_str(), O_RDONLY | O_CLOEXEC));
    if (::setns(space.get(), CLONE_NEWNET) == 0) {
      out = UniqueFd(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    }
  })
      .join();
  return out;
}

sockaddr_in6 udp_endpoint(const IpAddr& ip, std::uint16_t port) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  const std::string text = (ip.is_v4() ? "::ffff:" : "") + ip.to_text();
  ::inet_pton(AF_INET6, text.c_str(), &address.sin6_addr);
  return address;
}

}  // namespace flannel

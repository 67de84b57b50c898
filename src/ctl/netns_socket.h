// UDP from and to other network namespaces.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <string>

#include "base/file.h"
#include "base/ip.h"

namespace flannel {

// A socket in a named network namespace (`ip netns`), for both families: udp_endpoint() has their
// addresses. Invalid where there is none.
UniqueFd udp_socket_in(const std::string& netns);

// IPv4 addresses as mapped ones.
sockaddr_in6 udp_endpoint(const IpAddr& ip, std::uint16_t port);

}  // namespace flannel

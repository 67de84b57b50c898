// The connections that the kernel tracks.
#pragma once

#include <cstdint>
#include <vector>

#include "base/ip.h"

namespace flannel::cni {

// Deletes the conntrack entries of UDP to these ports: with them, packets would go on to where the
// port led before. Throws std::system_error.
void flush_udp_connections(const std::vector<Family>& families,
                           const std::vector<std::uint16_t>& ports);

}  // namespace flannel::cni

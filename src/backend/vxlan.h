// The vxlan backend: one VXLAN device a family, and for each peer a neighbour (its subnet's first
// address -> its device's MAC), an FDB entry (that MAC -> its public address) and a route.
//
// A packet to 10.5.61.9 takes the route `10.5.61.0/24 via 10.5.61.0 dev flannel.1 onlink`; the
// gateway 10.5.61.0 is resolved by the neighbour entry to the peer's MAC, and the FDB entry says
// to which node the frame for that MAC is sent. The peer's device owns 10.5.61.0/32 and that MAC,
// and routes the inner packet on. Nothing is learned or asked for on the wire.
#pragma once

#include <memory>
#include <string_view>

#include "backend/backend.h"

namespace flannel {

// Options: VNI (1), Port (0: the kernel's 8472), GBP, Learning, DirectRouting (a peer on our own
// link is routed to without the tunnel), MTU (of the external interface;
// the device gets that less the encapsulation). Errors name the option and the value.
inline constexpr std::string_view kVxlanOptions[] = {"VNI",      "Port",          "GBP",
                                                     "Learning", "DirectRouting", "MTU"};
Result<std::unique_ptr<Backend>> make_vxlan(const NetworkConfig& network);

}  // namespace flannel

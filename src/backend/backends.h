// The backends there are: the one list of them.
#pragma once

#include "backend/alloc.h"
#include "backend/host_gw.h"
#include "backend/vxlan.h"

namespace flannel {

inline constexpr BackendEntry kBackends[] = {
    {"alloc", make_alloc},
    {"host-gw", make_host_gw},
    {"vxlan", make_vxlan, kVxlanOptions},
};

// What the reference has and we do not have yet.
inline constexpr std::string_view kPlannedBackends[] = {"extension",   "ipip", "ipsec",
                                                        "tencent-vpc", "udp",  "wireguard"};

}  // namespace flannel

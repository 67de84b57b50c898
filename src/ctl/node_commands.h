// `flannelctl status` and `flannelctl plan`: what a node's daemon says over its status socket.
#pragma once

#include "ctl/command_line.h"

namespace flannel {

// Names the socket where `--socket` does not.
inline constexpr const char* kSocketVariable = "FLANNELCTL_SOCKET";

// Exit codes: 0 where the node is ready, 1 where it is not or does not answer.
int node_status(const CommandLine& line);
// 0 where the daemon answers, whatever it plans.
int node_plan(const CommandLine& line);

}  // namespace flannel

// `flannelctl lab …`, a function a command. All but lab_list need root.
#pragma once

#include "ctl/command_line.h"

namespace flannel {

int lab_up(const CommandLine& line);
int lab_demo(const CommandLine& line);
int lab_list(const CommandLine& line);
int lab_status(const CommandLine& line);
int lab_leases(const CommandLine& line);
int lab_ping(const CommandLine& line);
int lab_break(const CommandLine& line);
int lab_exec(const CommandLine& line);
int lab_logs(const CommandLine& line);
int lab_start(const CommandLine& line);
int lab_stop(const CommandLine& line);
int lab_down(const CommandLine& line);
// What carries the nodes' connections to an etcd outside of them.
int lab_relay(const CommandLine& line);

}  // namespace flannel

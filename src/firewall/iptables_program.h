// Where the programs of iptables are.
#pragma once

#include <string>
#include <string_view>

#include "base/ip.h"
#include "base/result.h"
#include "process/process.h"

namespace flannel {

// The folders that network programs are in, whatever PATH the runtime gave us.
std::string program_folders();

// The path of `iptables` or `ip6tables` with `suffix` behind it. Error: which one is not there.
Result<std::string> iptables_program(Family family, std::string_view suffix);

// `iptables --version`, which names the kind. Throws ProcessError where there is no such program.
Program::Command iptables_version_command(Family family);

}  // namespace flannel

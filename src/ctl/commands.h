// Everything that flannelctl does.
#pragma once

#include <span>

#include "ctl/command_line.h"

namespace flannel {

std::span<const Command> all_commands();

}  // namespace flannel

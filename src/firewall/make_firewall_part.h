// The part of the kernel for our rule sets, whatever the kernel is built with.
#pragma once

#include <chrono>
#include <memory>

#include "kernel/part.h"

namespace flannel {

// FirewallPart, with names of its own where a daemon of another network has the usual ones in this
// network namespace; where the kernel has no netfilter to talk to, one that has no rules, and
// refuses all with what is missing.
std::unique_ptr<Part> make_firewall_part(std::chrono::milliseconds resync);

}  // namespace flannel

// The list of the kinds of kernel objects: everything else is made from it.
#pragma once

#include "kernel/kind_list.h"
#include "kernel/link.h"
#include "kernel/objects.h"
#include "kernel/ruleset.h"
#include "kernel/sysctl.h"

namespace flannel {

// In dependency order: an object needs only objects of kinds before its own.
using Kinds = KindList<Link, Sysctl, Address, Neighbour, FdbEntry, Nexthop, Route, Ruleset>;

}  // namespace flannel

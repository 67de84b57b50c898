// The list of the kinds of kernel objects: everything else is made from it.
#pragma once

#include <bitset>
#include <cstddef>
#include <tuple>
#include <variant>

#include "kernel/kind.h"
#include "kernel/link.h"
#include "kernel/objects.h"
#include "kernel/sysctl.h"
#include "kernel/table.h"

namespace flannel {

template <Kind... T>
struct KindList {
  using Object = std::variant<T...>;
  using Tables = std::tuple<Table<T>...>;
};

// In dependency order: an object needs only objects of kinds before its own.
using Kinds = KindList<Link, Sysctl, Address, Neighbour, FdbEntry, Nexthop, Route>;

}  // namespace flannel

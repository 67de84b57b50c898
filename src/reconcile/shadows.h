// Routes of others that take packets to a peer although ours is in place.
#pragma once

#include <string>
#include <vector>

#include "kernel/net_state.h"

namespace flannel {

struct Shadow {
  Route::Key ours;  // the route that it takes packets from
  Route by;
  bool operator==(const Shadow&) const = default;
};

// Which of `foreign` go before one of `wanted`: the kernel takes the more specific route, and of
// one destination that of the lowest metric, whatever their types are. In the order of both lists;
// no two of `wanted` lie in each other.
std::vector<Shadow> find_shadows(const Table<Route>& wanted, const Table<Route>& foreign);

// What it does, and what to do, for an operator.
std::string to_text(const Shadow& shadow);

// Writes which came and which went.
void log_changes(const std::vector<Shadow>& before, const std::vector<Shadow>& now);

}  // namespace flannel

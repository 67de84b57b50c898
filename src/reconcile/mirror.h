// What a notification means for what is known of the kernel.
#pragma once

#include <vector>

#include "kernel/kernel.h"

namespace flannel {

// Whether only a dump tells what `change` did, given what the kernel had so far. It drops other
// objects along with one without a word: with a link that goes down its routes, with another MAC
// its neighbours, with a nexthop its routes, with a device's last IPv4 address all IPv4 routes by
// it. What we did ourselves is in `have` already.
bool needs_dump(const Change& change, const NetState& have);

// Enters what was done.
void enter(const std::vector<Op>& done, NetState& state);

// Enters what is known of one object into `have`; true where that is not as wanted.
bool enter(const Change& change, NetState& have, const NetState& want);

// Enters what is known of a foreign route; false where only a dump tells what there is now, since
// there were several of that key, or one that was replaced or lost one of its paths.
bool enter_foreign(const Change& change, Table<Route>& foreign);

}  // namespace flannel

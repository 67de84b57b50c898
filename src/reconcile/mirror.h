// What a notification means for what is known of the kernel.
#pragma once

#include <set>
#include <vector>

#include "kernel/kernel.h"

namespace flannel {

// Whether only a dump tells what `change` did, given what the kernel had so far (DumpAfter). What
// we did ourselves is in `have` already.
bool needs_dump(const Change& change, const NetState& have);
// What is dumped where it is not known what became of an object: the objects of other kinds that
// lie on a device go or change with it; and a setting, of whose change nobody tells, may be why the
// kernel refuses what it took before.
KindSet kinds_around(const Object& object);
KindSet kinds_around(KindSet kinds);

// Of which kinds only a dump tells what `done` did: where there are several routes of one key, the
// kernel does not say which it took. An IPv6 route by a nexthop object, for one, replaces a
// blackhole behind ours and not ours (net/ipv6/ip6_fib.c, fib6_add_rt2node).
KindSet unsure_after(const std::vector<Op>& done, const Snapshot& have);
// Whether there may be such routes.
bool has_routes_of_one_key(const Snapshot& have);

// Changes `state` as `ops` change the kernel.
void apply_ops(const std::vector<Op>& ops, NetState& state);
// The object of `undone` is in `state` as it was `before`, or not at all.
void put_back(const Op& undone, const NetState& before, NetState& state);

// Routes neither known nor wanted that came and went again within `changes`, as the one that an
// IPv6 gateway needs for a moment (kernel/rtnetlink_apply.cc): nothing has changed.
std::set<Route::Key> passing_routes(const std::vector<Change>& changes, const NetState& have,
                                    const NetState& want);

// Whether it says anything that `have` does not.
bool is_news(const Change& change, const NetState& have);
// Records in `have` what is known of one object; true where that is not as wanted.
bool record(const Change& change, NetState& have, const NetState& want);

// The rows of these kinds, alone.
NetState rows_of(const NetState& state, KindSet kinds);

// The rows with fields that the kernel itself moves (MovingKind), alone.
NetState moving_rows(const NetState& state);
// Puts these fields of `listed` back as `known` has them.
void keep_moving_fields(NetState& listed, const NetState& known);

// Records what is known of a foreign route; false where only a dump tells what there is now, since
// there were several of that key, or one that was replaced or lost one of its paths.
bool record_foreign(const Change& change, Table<Route>& foreign);

}  // namespace flannel

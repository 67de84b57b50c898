#include "reconcile/diff.h"

#include <algorithm>
#include <optional>

#include "kernel/ownership.h"

namespace flannel {
namespace {

bool contains(const std::vector<Dev>& devices, const Dev& device) {
  return std::find(devices.begin(), devices.end(), device) != devices.end();
}

// What remains when the kernel has removed `links`: it drops everything on them silently.
NetState without(NetState state, const std::vector<Dev>& links) {
  const auto gone = [&links](const Dev& dev) { return contains(links, dev); };
  const NetState before = state;
  state.links.remove_if([&](const Link& l) { return gone(l.key.name); });
  state.addresses.remove_if([&](const Address& a) { return gone(a.key.dev); });
  state.neighbours.remove_if([&](const Neighbour& n) { return gone(n.key.dev); });
  state.fdb.remove_if([&](const FdbEntry& f) { return gone(f.key.dev); });
  state.nexthops.remove_if([&](const Nexthop& n) { return gone(n.dev); });
  state.routes.remove_if([&](const Route& r) {
    const Nexthop* nexthop = before.nexthops.find({r.nexthop});
    return gone(nexthop != nullptr ? nexthop->dev : r.dev);
  });
  return state;
}

template <class T>
void put_differences(const Table<T>& want, const Table<T>& have, std::vector<Op>& ops) {
  auto old = have.begin();
  for (const T& row : want) {
    while (old != have.end() && old->key < row.key) {
      ++old;
    }
    if (old == have.end() || row.key < old->key) {
      ops.push_back({Op::Verb::add, row});
    } else if (*old != row) {
      ops.push_back({Op::Verb::change, row});
    }
  }
}

template <class T>
void remove_surplus(const Table<T>& want, const Table<T>& have, std::vector<Op>& ops) {
  auto wanted = want.begin();
  for (const T& row : have) {
    while (wanted != want.end() && wanted->key < row.key) {
      ++wanted;
    }
    if (wanted == want.end() || row.key < wanted->key) {
      ops.push_back({Op::Verb::remove, row});
    }
  }
}

void diff_tables(const NetState& want, const NetState& have, std::vector<Op>& ops) {
  for_each_table([&ops](const auto& w, const auto& h) { put_differences(w, h, ops); }, want, have);
  // Collected downwards, appended backwards: the last table goes first.
  std::vector<Op> removals;
  for_each_table([&removals](const auto& w, const auto& h) { remove_surplus(w, h, removals); },
                 want, have);
  ops.insert(ops.end(), std::make_move_iterator(removals.rbegin()),
             std::make_move_iterator(removals.rend()));
}

// Whether `op`, of a difference to `gone`, is one to `planned` as well.
bool fits(const Op& op, const NetState& gone, const NetState& planned) {
  return std::visit(
      [&]<class T>(const T& row) {
        const T* is = planned.of<T>().find(row.key);
        const T* was = gone.of<T>().find(row.key);
        return is == nullptr || was == nullptr ? is == was : *is == *was;
      },
      op.object);
}

}  // namespace

bool needs_recreation(const Link& want, const Link& have) {
  const Vxlan* want_vxlan = std::get_if<Vxlan>(&want.kind);
  const Vxlan* have_vxlan = std::get_if<Vxlan>(&have.kind);
  if (want_vxlan == nullptr || have_vxlan == nullptr) {
    return want.kind != have.kind;
  }
  Vxlan same_learning = *have_vxlan;
  same_learning.learning = want_vxlan->learning;
  return *want_vxlan != same_learning || (belongs_to_a_network(have) && have.alias != want.alias);
}

std::vector<Op> diff(const NetState& want, const NetState& have) {
  std::vector<Op> ops;
  std::vector<Dev> recreated, readdressed;
  for (const Link& link : want.links) {
    const Link* old = have.links.find(link.key);
    if (old != nullptr && needs_recreation(link, *old)) {
      ops.push_back({Op::Verb::remove, *old});
      recreated.push_back(link.key.name);
    } else if (old != nullptr && old->mac != link.mac) {
      readdressed.push_back(link.key.name);
    }
  }
  if (recreated.empty() && readdressed.empty()) {
    diff_tables(want, have, ops);
    return ops;
  }
  NetState left = without(have, recreated);
  // With a device's MAC the kernel drops its neighbours (net/core/neighbour.c, neigh_changeaddr).
  left.neighbours.remove_if(
      [&](const Neighbour& row) { return contains(readdressed, row.key.dev); });
  diff_tables(want, left, ops);
  return ops;
}

std::optional<std::vector<Op>> ops_of(const PlanDelta& delta, const NetState& planned) {
  std::vector<Op> ops = diff(delta.come, delta.gone);
  const bool same_node =
      delta.gone.links == planned.links && delta.gone.addresses == planned.addresses;
  const bool fit =
      same_node && std::ranges::all_of(ops, [&](const Op& op) {
        return !std::holds_alternative<Link>(op.object) && fits(op, delta.gone, planned);
      });
  return fit ? std::optional(std::move(ops)) : std::nullopt;
}

}  // namespace flannel

#include "reconcile/diff.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <unordered_set>
#include <utility>

namespace flannel {
namespace {

bool contains(const std::vector<Dev>& devices, const Dev& device) {
  return std::find(devices.begin(), devices.end(), device) != devices.end();
}

class Gone {
 public:
  void add(const Reference& what) {
    if (!what.dev.empty()) {
      devices_.push_back(what.dev);
    }
    if (what.nexthop != 0) {
      nexthops_.insert(what.nexthop);
    }
  }
  bool has(const Reference& what) const {
    return contains(devices_, what.dev) || nexthops_.contains(what.nexthop);
  }
  bool empty() const { return devices_.empty() && nexthops_.empty(); }

 private:
  std::vector<Dev> devices_;
  std::unordered_set<std::uint32_t> nexthops_;
};

// What remains when the kernel has removed what is `gone`: it drops all that needs it silently.
NetState without(NetState state, Gone gone) {
  for_each_table(
      [&]<class T>(Table<T>& table) {
        table.remove_if([&](const T& row) {
          bool dropped = false;
          if constexpr (NeedingKind<T>) {
            dropped = gone.has(row.needs());
          }
          if constexpr (ProvidingKind<T>) {
            if (dropped) {
              gone.add(row.provides());
            }
            return gone.has(row.provides());
          }
          return dropped;
        });
      },
      state);
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
  if constexpr (!is_setting<T>()) {
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
}

// Those that are removed to be made anew, and what goes with them.
template <class T>
void remove_replaced(const Table<T>& want, const Table<T>& have, std::vector<Op>& ops, Gone& gone) {
  if constexpr (ReplacedKind<T> && ProvidingKind<T>) {
    for (const T& row : want) {
      const T* old = have.find(row.key);
      if (old != nullptr && !row.changes_in_place(*old)) {
        ops.push_back({Op::Verb::remove, *old});
        gone.add(old->provides());
      }
    }
  }
}

// Devices of which something changes: `changes(want, have)`.
template <class Changes>
std::vector<Dev> devices_where(const Table<Link>& want, const Table<Link>& have, Changes changes) {
  std::vector<Dev> devices;
  for (const Link& link : want) {
    const Link* old = have.find(link.key);
    if (old != nullptr && changes(link, *old)) {
      devices.push_back(link.key.name);
    }
  }
  return devices;
}

bool gets_another_mac(const Link& want, const Link& have) {
  return want.mac != have.mac;
}

// Under this MTU a device has no IPv6 (RFC 8200); above, it has it anew, with the settings of a new
// device (net/ipv6/addrconf.c, addrconf_notify).
bool gets_ipv6(const Link& want, const Link& have) {
  constexpr std::uint32_t kLeast = 1280;
  return have.mtu < kLeast && want.mtu >= kLeast;
}

void diff_tables(const NetState& want, const NetState& have, std::vector<Op>& ops) {
  ops.reserve(ops.size() + want.size() - std::min(want.size(), have.size()));
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

std::vector<Op> diff(const NetState& want, const NetState& have) {
  std::vector<Op> ops;
  Gone gone;
  for_each_table([&](const auto& w, const auto& h) { remove_replaced(w, h, ops, gone); }, want,
                 have);
  const std::vector<Dev> other_mac =
      devices_where(want.of<Link>(), have.of<Link>(), gets_another_mac);
  const std::vector<Dev> with_ipv6 = devices_where(want.of<Link>(), have.of<Link>(), gets_ipv6);
  if (gone.empty() && other_mac.empty() && with_ipv6.empty()) {
    diff_tables(want, have, ops);
    return ops;
  }
  NetState left = without(have, std::move(gone));
  // With a device's MAC the kernel drops its neighbours (net/core/neighbour.c, neigh_changeaddr).
  left.of<Neighbour>().remove_if(
      [&](const Neighbour& row) { return contains(other_mac, row.key.dev); });
  left.of<Sysctl>().remove_if([&](const Sysctl& row) { return contains(with_ipv6, row.key.dev); });
  diff_tables(want, left, ops);
  return ops;
}

std::optional<std::vector<Op>> ops_of(const PlanDelta& delta, const NetState& planned) {
  std::vector<Op> ops = diff(delta.come, delta.gone);
  bool same_node = true;
  for_each_table(
      [&]<class T>(const Table<T>& gone, const Table<T>& all) {
        if constexpr (is_of_node<T>()) {
          same_node = same_node && gone == all;
        }
      },
      delta.gone, planned);
  const bool fit = same_node && std::ranges::all_of(ops, [&](const Op& op) {
                     return !is_of_node(op.object) && fits(op, delta.gone, planned);
                   });
  return fit ? std::optional(std::move(ops)) : std::nullopt;
}

}  // namespace flannel

#include "reconcile/mirror.h"

#include <algorithm>
#include <utility>

namespace flannel {
namespace {

template <class T>
T with_moving_fields_of(const T* known, T row) {
  if constexpr (MovingKind<T>) {
    if (known != nullptr) {
      row.keep_moving_fields(*known);
    }
  }
  return row;
}

template <class... T>
KindSet settings(KindList<T...>) {
  KindSet set;
  ((set |= is_setting<T>() ? kinds<T>() : KindSet()), ...);
  return set;
}

// Devices, and what is on them.
template <class... T>
KindSet on_devices(KindList<T...>) {
  KindSet set = kinds<Link>();
  ((set |= NeedingKind<T> ? kinds<T>() : KindSet()), ...);
  return set;
}

}  // namespace

bool needs_dump(const Change& change, const NetState& have) {
  return std::visit(
      [&]<class T>(const T& row) {
        constexpr DumpAfter kAfter = dump_after<T>();
        const T* known = have.of<T>().find(row.key);
        if (change.removed) {
          return kAfter.removed && known != nullptr;
        }
        return known == nullptr ? kAfter.added : kAfter.changed && *known != row;
      },
      change.object);
}

KindSet kinds_around(const Object& object) {
  return kinds_around(kind_of(object));
}

KindSet kinds_around(KindSet kinds) {
  if (kinds.none()) {
    return kinds;
  }
  const bool devices = (kinds & flannel::kinds<Link>()).any();
  return kinds | (devices ? on_devices(Kinds()) : settings(Kinds()));
}

bool has_routes_of_one_key(const Snapshot& have) {
  return !have.foreign_routes.empty() ||
         std::ranges::any_of(have.ours.of<Route>(),
                             [](const Route& row) { return row.key.place > 0; });
}

KindSet unsure_after(const std::vector<Op>& done, const Snapshot& have) {
  const Table<Route>& ours = have.ours.of<Route>();
  const bool several = std::ranges::any_of(done, [&](const Op& op) {
    const Route* route = std::get_if<Route>(&op.object);
    const auto same = [&](const Route& row) {
      return row.key.dst == route->key.dst && row.key.metric == route->key.metric;
    };
    return route != nullptr &&
           (route->key.place > 0 || ours.find({route->key.dst, route->key.metric, 1}) != nullptr ||
            std::ranges::any_of(have.foreign_routes, same));
  });
  return several ? kinds<Route>() : KindSet();
}

void apply_ops(const std::vector<Op>& ops, NetState& state) {
  for (const Op& op : ops) {
    std::visit(
        [&]<class T>(const T& row) {
          if (op.verb == Op::Verb::remove) {
            state.of<T>().remove(row.key);
          } else {
            state.of<T>().put(row);
          }
        },
        op.object);
  }
}

void put_back(const Op& undone, const NetState& before, NetState& state) {
  std::visit(
      [&]<class T>(const T& row) {
        if (const T* was = before.of<T>().find(row.key)) {
          state.of<T>().put(*was);
        } else {
          state.of<T>().remove(row.key);
        }
      },
      undone.object);
}

std::set<Route::Key> passing_routes(const std::vector<Change>& changes, const NetState& have,
                                    const NetState& want) {
  std::set<Route::Key> gone;
  for (const Change& change : changes) {
    const Route* route = std::get_if<Route>(&change.object);
    if (route == nullptr || have.of<Route>().find(route->key) != nullptr ||
        want.of<Route>().find(route->key) != nullptr) {
      continue;
    }
    if (change.removed) {
      gone.insert(route->key);
    } else {
      gone.erase(route->key);
    }
  }
  return gone;
}

bool is_news(const Change& change, const NetState& have) {
  return std::visit(
      [&]<class T>(const T& row) {
        const T* known = have.of<T>().find(row.key);
        return change.removed ? known != nullptr : known == nullptr || *known != row;
      },
      change.object);
}

bool record(const Change& change, NetState& have, const NetState& want) {
  return std::visit(
      [&]<class T>(const T& row) {
        Table<T>& table = have.of<T>();
        if (change.removed) {
          table.remove(row.key);
        } else if (const T* known = table.find(row.key); known == nullptr || *known != row) {
          table.put(with_moving_fields_of(known, row));
        }
        const T* is = table.find(row.key);
        const T* should = want.of<T>().find(row.key);
        return is == nullptr || should == nullptr ? is != should : *is != *should;
      },
      change.object);
}

NetState rows_of(const NetState& state, KindSet kinds) {
  NetState rows;
  for_each_table(
      [&]<class T>(const Table<T>& from, Table<T>& to) {
        if ((kinds & flannel::kinds<T>()).any()) {
          to = from;
        }
      },
      state, rows);
  return rows;
}

NetState moving_rows(const NetState& state) {
  NetState rows;
  for_each_table(
      []<class T>(const Table<T>& from, Table<T>& to) {
        if constexpr (MovingKind<T>) {
          to = from;
        }
      },
      state, rows);
  return rows;
}

void keep_moving_fields(NetState& listed, const NetState& known) {
  for_each_table(
      []<class T>(Table<T>& rows, const Table<T>& before) {
        if constexpr (MovingKind<T>) {
          std::vector<T> kept;
          for (const T& row : rows) {
            kept.push_back(with_moving_fields_of(before.find(row.key), row));
          }
          rows = Table<T>(std::move(kept));
        }
      },
      listed, known);
}

bool record_foreign(const Change& change, Table<Route>& foreign) {
  const Route& route = std::get<Route>(change.object);
  Route::Key second = route.key;
  second.place = 1;
  const Route* known = foreign.find(route.key);
  if ((known != nullptr && *known != route) || foreign.find(second) != nullptr) {
    return false;
  }
  if (change.removed) {
    foreign.remove(route.key);
  } else {
    foreign.put(route);
  }
  return true;
}

}  // namespace flannel

#include "reconcile/mirror.h"

namespace flannel {

bool needs_dump(const Change& change, const NetState& have) {
  if (const Link* link = std::get_if<Link>(&change.object)) {
    const Link* known = have.links.find(link->key);
    return change.removed ? known != nullptr : known == nullptr || *known != *link;
  }
  // Which of several routes of one key the kernel uses, and whose an FDB entry is, only a dump
  // tells.
  if (const Route* route = std::get_if<Route>(&change.object)) {
    const Route* known = have.routes.find(route->key);
    return known != nullptr && (change.removed || *known != *route);
  }
  if (const FdbEntry* entry = std::get_if<FdbEntry>(&change.object)) {
    return !change.removed && have.fdb.find(entry->key) == nullptr;
  }
  const Nexthop* nexthop = std::get_if<Nexthop>(&change.object);
  const Address* address = std::get_if<Address>(&change.object);
  return change.removed && ((nexthop != nullptr && have.nexthops.find(nexthop->key) != nullptr) ||
                            (address != nullptr && have.addresses.find(address->key) != nullptr));
}

void enter(const std::vector<Op>& done, NetState& state) {
  for (const Op& op : done) {
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

bool enter(const Change& change, NetState& have, const NetState& want) {
  return std::visit(
      [&]<class T>(const T& row) {
        Table<T>& table = have.of<T>();
        if (change.removed) {
          table.remove(row.key);
        } else if (const T* known = table.find(row.key); known == nullptr || *known != row) {
          table.put(row);
        }
        const T* is = table.find(row.key);
        const T* should = want.of<T>().find(row.key);
        return is == nullptr || should == nullptr ? is != should : *is != *should;
      },
      change.object);
}

bool enter_foreign(const Change& change, Table<Route>& foreign) {
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

// The kernel state one node should have, or has, as plain values.
//
// A backend fills a NetState; the reconciler makes the kernel match it. Nothing here does I/O,
// knows an ifindex, or remembers how it got there.
#pragma once

#include <bitset>
#include <cstddef>
#include <string>
#include <tuple>
#include <utility>
#include <variant>

#include "kernel/kinds.h"

namespace flannel {

// A table a kind, in dependency order.
class NetState {
 public:
  // The table of one kind.
  template <class T>
  Table<T>& of() {
    return std::get<Table<T>>(tables_);
  }
  template <class T>
  const Table<T>& of() const {
    return std::get<Table<T>>(tables_);
  }

  std::size_t size() const {
    return std::apply([](const auto&... table) { return (table.size() + ...); }, tables_);
  }
  bool operator==(const NetState&) const = default;

 private:
  Kinds::Tables tables_;
};

using Object = Kinds::Object;

namespace internal {

template <class... T, class Function, class... States>
void for_each_table(KindList<T...>, Function& function, States&... states) {
  const auto call = [&]<class K>(Table<K>*) { function(states.template of<K>()...); };
  (call(static_cast<Table<T>*>(nullptr)), ...);
}

}  // namespace internal

// The tables of one or more states side by side, in dependency order:
// for_each_table([](const auto& want, const auto& have) {…}, want, have).
template <class Function, class... States>
void for_each_table(Function&& function, States&&... states) {
  internal::for_each_table(Kinds(), function, states...);
}

// Kinds by their place in the list.
using KindSet = std::bitset<std::variant_size_v<Object>>;

template <class... T>
KindSet kinds() {
  KindSet set;
  (set.set(Object(std::in_place_type<T>).index()), ...);
  return set;
}
KindSet all_kinds();
KindSet kind_of(const Object& object);

// Whether `a` comes before `b` by table, then by key: the order of sorted lists of objects. Two
// with one key are the same object, whatever their other fields.
bool key_less(const Object& a, const Object& b);

// What Kind says of the object's.
Reference needs_of(const Object& object);
Reference provided_by(const Object& object);  // nothing where it has no provides()
bool is_of_node(const Object& object);

// One step of making the kernel agree.
struct Op {
  enum class Verb {
    add,     // no object of that key is known
    change,  // one is, with other fields
    remove,
  } verb = Verb::add;
  Object object;
  bool operator==(const Op&) const = default;
};

// The line `ip` or `bridge` would print for it, with its kind in front, e.g.
// `route 10.5.60.0/24 nhid 7 proto 70`. What `flannelctl plan` and scenario files show.
std::string to_text(const Object& object);
// `+ …`, `~ …` or `- …`.
std::string to_text(const Op& op);
// Its first line, for sentences.
std::string headline(const Op& op);
// One line an object, in table order.
std::string to_text(const NetState& state);

}  // namespace flannel

// What a kind of kernel objects is: all that the reconciler asks of one.
//
// A kind is a struct with
//   key         the fields by which the kernel tells two of them apart: same key, other fields
//               differ: one replace in place; different key: another object
//   ==          of all that is compared
//   text()      the line that `ip`, `bridge` or the like would print, with the kind in front
// and, where it applies,
//   needs()                 what it cannot be there without, and goes with
//   provides()              what others need of it
//   changes_in_place(have)  false where the kernel cannot make `have` of its key into this, so that
//                           it is removed and made anew
//   kDumpAfter              what the kernel does along with it without a notification
//   kOfNode                 true: without it no peer can be reached
//   kSetting                true: it is neither made nor removed, and one that is not wanted stays
//                           as it is
//   keep_moving_fields(known)
//                           takes the fields that the kernel itself moves from `known`, which was
//                           there last, so that they make no difference to the plan
// A secret is never in a field, since all are printed and compared: its digest is.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>

#include "kernel/dev.h"

namespace flannel {

// By what an object is referred to.
struct Reference {
  Dev dev;
  std::uint32_t nexthop = 0;
  bool empty() const { return dev.empty() && nexthop == 0; }
};

// After which change of an object only a dump can say what there is: it was added, has other
// fields, was removed.
struct DumpAfter {
  bool added = false, changed = false, removed = false;
};

template <class T>
concept Kind = std::copyable<T> && std::equality_comparable<T> && requires(const T& row) {
  { row.key < row.key } -> std::convertible_to<bool>;
  { row.text() } -> std::same_as<std::string>;
};

template <class T>
concept NeedingKind = requires(const T& row) {
  { row.needs() } -> std::same_as<Reference>;
};

template <class T>
concept ProvidingKind = requires(const T& row) {
  { row.provides() } -> std::same_as<Reference>;
};

template <class T>
concept ReplacedKind = requires(const T& row) {
  { row.changes_in_place(row) } -> std::same_as<bool>;
};

template <class T>
concept MovingKind = requires(T& row) { row.keep_moving_fields(row); };

template <class T>
constexpr DumpAfter dump_after() {
  if constexpr (requires { T::kDumpAfter; }) {
    return T::kDumpAfter;
  } else {
    return {};
  }
}

template <class T>
constexpr bool is_of_node() {
  return requires { T::kOfNode; };
}

template <class T>
constexpr bool is_setting() {
  return requires { T::kSetting; };
}

}  // namespace flannel

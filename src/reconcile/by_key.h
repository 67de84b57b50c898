// Lists in the order of the keys of the objects that their entries are about.
#pragma once

#include <algorithm>
#include <functional>
#include <vector>

#include "kernel/net_state.h"

namespace flannel {

// The first entry of the object's key; null where there is none. `object_of` gives an entry's.
template <class Entry, class ObjectOf>
const Entry* find_by_key(const std::vector<Entry>& entries, const Object& object,
                         const ObjectOf& object_of) {
  const auto at = std::ranges::lower_bound(entries, object, key_less, object_of);
  return at != entries.end() && !key_less(object, std::invoke(object_of, *at)) ? &*at : nullptr;
}

}  // namespace flannel

// What a list of kinds gives rise to.
#pragma once

#include <tuple>
#include <variant>

#include "kernel/kind.h"
#include "kernel/table.h"

namespace flannel {

template <Kind... T>
struct KindList {
  using Object = std::variant<T...>;
  using Tables = std::tuple<Table<T>...>;
  template <Kind... More>
  using With = KindList<T..., More...>;
};

}  // namespace flannel

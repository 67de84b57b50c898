#include "kernel/net_state.h"

namespace flannel {

bool key_less(const Object& a, const Object& b) {
  if (a.index() != b.index()) {
    return a.index() < b.index();
  }
  return std::visit(
      [&b](const auto& row) { return row.key < std::get<std::decay_t<decltype(row)>>(b).key; }, a);
}

}  // namespace flannel

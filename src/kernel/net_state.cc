#include "kernel/net_state.h"

#include <type_traits>

namespace flannel {

KindSet all_kinds() {
  return KindSet().set();
}

KindSet kind_of(const Object& object) {
  return KindSet().set(object.index());
}

bool key_less(const Object& a, const Object& b) {
  if (a.index() != b.index()) {
    return a.index() < b.index();
  }
  return std::visit(
      [&b](const auto& row) { return row.key < std::get<std::decay_t<decltype(row)>>(b).key; }, a);
}

Reference needs_of(const Object& object) {
  return std::visit(
      []<class T>(const T& row) {
        if constexpr (NeedingKind<T>) {
          return row.needs();
        } else {
          return Reference();
        }
      },
      object);
}

Reference provided_by(const Object& object) {
  return std::visit(
      []<class T>(const T& row) {
        if constexpr (ProvidingKind<T>) {
          return row.provides();
        } else {
          return Reference();
        }
      },
      object);
}

bool is_of_node(const Object& object) {
  return std::visit([]<class T>(const T&) { return is_of_node<T>(); }, object);
}

std::string to_text(const Object& object) {
  return std::visit([](const auto& row) { return row.text(); }, object);
}

std::string to_text(const Op& op) {
  const char* sign = op.verb == Op::Verb::add ? "+ " : op.verb == Op::Verb::change ? "~ " : "- ";
  return sign + to_text(op.object);
}

std::string headline(const Op& op) {
  const std::string text = to_text(op);
  return text.substr(0, text.find('\n'));
}

std::string to_text(const NetState& state) {
  std::string out;
  for_each_table(
      [&out](const auto& table) {
        for (const auto& row : table) {
          out += row.text() + "\n";
        }
      },
      state);
  return out;
}

}  // namespace flannel

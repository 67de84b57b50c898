#include "reconcile/report.h"

namespace flannel {
namespace {

template <class... T>
std::vector<std::string> names_of(KindList<T...>) {
  const auto first_word = [](const std::string& text) { return text.substr(0, text.find(' ')); };
  return {first_word(T().text())...};
}

}  // namespace

std::vector<std::string> kind_names() {
  return names_of(Kinds());
}

}  // namespace flannel

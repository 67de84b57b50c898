#include "kernel/link.h"

#include <fmt/format.h>

#include <string_view>

namespace flannel {
namespace {

// How the alias of every device of ours begins; the first network follows.
constexpr std::string_view kAlias = "flannel ";

}  // namespace

bool Vxlan::changes_in_place(Vxlan have) const {
  have.learning = learning;
  return *this == have;
}

std::string Vxlan::text() const {
  return fmt::format("vxlan id {} local {} dev {} dstport {}{}{}{}{}", vni, local.to_text(),
                     lower.text(), port, learning ? " learning" : " nolearning", gbp ? " gbp" : "",
                     group ? " group" : "", l2miss ? " l2miss" : "");
}

bool Link::changes_in_place(const Link& have) const {
  const bool kind_stays = std::visit(
      [&have]<class T>(const T& wanted) {
        const T* is = std::get_if<T>(&have.kind);
        return is != nullptr && wanted.changes_in_place(*is);
      },
      kind);
  const bool of_another_network = belongs_to_a_network(have) && have.alias != alias;
  return kind_stays && !of_another_network;
}

std::string Link::text() const {
  std::string out =
      fmt::format("link {} {} mtu {} address {}", key.name.text(),
                  std::visit([](const auto& k) { return k.text(); }, kind), mtu, mac.to_text());
  out += alias.empty() ? "" : fmt::format(" alias \"{}\"", alias);
  out += master.empty() ? "" : fmt::format(" master {}", master.text());
  return out + (up ? " up" : " down");
}

bool belongs_to_a_network(const Link& link) {
  return link.alias.starts_with(kAlias);
}

}  // namespace flannel

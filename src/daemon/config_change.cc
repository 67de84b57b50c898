#include "daemon/config_change.h"

#include <algorithm>
#include <boost/json.hpp>
#include <map>

#include "base/ascii_text.h"
#include "base/printable.h"

namespace flannel {
namespace {

namespace json = boost::json;

// Those that count, by their names regardless of case: a later duplicate wins.
std::map<std::string, const json::key_value_pair*> options_of(const NetworkConfig& config) {
  std::map<std::string, const json::key_value_pair*> out;
  for (const json::key_value_pair& option : config.backend) {
    out.insert_or_assign(lower_case(option.key()), &option);
  }
  out.erase("type");
  return out;
}

void compare_families(const NetworkConfig& from, const NetworkConfig& to,
                      std::vector<std::string>& out) {
  for (const Family family : kFamilies) {
    const std::optional<FamilyConfig>& before = from.family(family);
    const std::optional<FamilyConfig>& after = to.family(family);
    const std::string_view v6 = family == Family::v6 ? "IPv6" : "";
    if (before.has_value() != after.has_value()) {
      out.push_back(
          fmt::format("Enable{}: devices, lease and routes are of the families", to_text(family)));
    } else if (before && before->network != after->network) {
      out.push_back(fmt::format("{}Network: what of the kernel is ours follows from it", v6));
    } else if (before != after) {
      out.push_back(
          fmt::format("{0}SubnetLen, {0}SubnetMin, {0}SubnetMax: the node has its subnet "
                      "already",
                      v6));
    }
  }
}

}  // namespace

std::vector<std::string> restart_reasons(const NetworkConfig& from, const NetworkConfig& to,
                                         std::span<const std::string_view> live_options) {
  std::vector<std::string> out;
  compare_families(from, to, out);
  if (from.backend_type != to.backend_type) {
    out.emplace_back("Backend.Type: it decides what the other nodes are told");
    return out;
  }
  const auto is_live = [live_options](const std::string& name) {
    return std::ranges::any_of(live_options,
                               [&](std::string_view live) { return lower_case(live) == name; });
  };
  const auto before = options_of(from);
  const auto after = options_of(to);
  auto all = before;
  all.insert(after.begin(), after.end());
  for (const auto& [name, option] : all) {
    const auto old_option = before.find(name), new_option = after.find(name);
    const bool same = old_option != before.end() && new_option != after.end() &&
                      old_option->second->value() == new_option->second->value();
    if (!same && !is_live(name)) {
      out.push_back(fmt::format("Backend.{}: the backend is made with it",
                                printable(std::string_view(option->key()))));
    }
  }
  return out;
}

}  // namespace flannel

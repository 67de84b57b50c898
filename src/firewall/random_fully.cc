#include "firewall/random_fully.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "firewall/nft_tables.h"

namespace flannel {

bool iptables_takes_random_fully(std::string_view version) {
  constexpr std::array kSince = {1, 6, 2};
  constexpr std::string_view kBefore = " v";
  const std::size_t found = version.find(kBefore);
  if (found == std::string_view::npos) {
    return true;
  }
  version.remove_prefix(found + kBefore.size());
  std::array<int, 3> numbers{};
  for (int& number : numbers) {
    const char* const end = version.data() + version.size();
    const auto [rest, error] = std::from_chars(version.data(), end, number);
    if (error != std::errc()) {
      break;
    }
    version.remove_prefix(
        std::min(version.size(), static_cast<std::size_t>(rest - version.data()) + 1));
  }
  return numbers == std::array<int, 3>{} || numbers >= kSince;
}

bool nft_takes_random_fully(const FirewallNetwork& network) {
  FirewallOptions options{.tool = FirewallTool::nftables, .masquerade = true, .excluded = {}};
  NftTables tables;
  if (tables.check(*plan_firewall(std::array{network}, options).begin()).ok()) {
    return true;
  }
  options.random_fully = false;
  return !tables.check(*plan_firewall(std::array{network}, options).begin()).ok();
}

}  // namespace flannel

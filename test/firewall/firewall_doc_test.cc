// docs/firewall.md shows the rules as they are planned.
#include <array>
#include <regex>

#include "base/file.h"
#include "test/firewall/firewall_fixture.h"

namespace flannel {
namespace {

// The cells of a column of the table of rules, for a network and a subnet.
std::vector<std::string> documented(std::size_t column) {
  const std::string text = read_file(FLANNEL_SOURCE_DIR "/docs/firewall.md").value();
  const std::regex row(R"(\n\|[^|`]*\| `([^`]*)` \| `([^`]*)` \|)");
  std::vector<std::string> out;
  for (std::sregex_iterator it(text.begin(), text.end(), row), end; it != end; ++it) {
    std::string rule = (*it)[column];
    rule = std::regex_replace(rule, std::regex(R"(\bN\b)"), kNetworkV4.network.to_text());
    out.push_back(std::regex_replace(rule, std::regex(R"(\bP\b)"), kNetworkV4.subnet.to_text()));
  }
  return out;
}

// The rules of a table or chain, without what comes before and behind them, and comments.
std::vector<std::string> planned(FirewallTool tool, const std::string& before) {
  const FirewallOptions options{.tool = tool, .masquerade = true, .excluded = {}};
  const Ruleset rules = *plan_firewall(std::array{kNetworkV4}, options).begin();
  std::vector<std::string> out;
  for (const std::string& line : rules.lines) {
    if (line.starts_with(before)) {
      const std::string rule = line.substr(before.size());
      out.push_back(std::regex_replace(rule, std::regex(R"( -m comment --comment "[^"]*")"), ""));
    }
  }
  return out;
}

TEST(FirewallDocTest, TheRulesAreThosePlanned) {
  EXPECT_EQ(documented(1), planned(FirewallTool::iptables, "-A FLANNEL-POSTRTG "));
  std::vector<std::string> nft = planned(FirewallTool::nftables, "\t\t");
  std::erase_if(nft, [](const std::string& line) {
    return line.starts_with("comment ") || line.starts_with("type ");
  });
  EXPECT_EQ(documented(2), nft);
}

}  // namespace
}  // namespace flannel

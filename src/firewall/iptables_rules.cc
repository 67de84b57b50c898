#include "firewall/iptables_rules.h"

#include <fmt/format.h>

#include <algorithm>

namespace flannel {
namespace {

std::string_view chain_of(std::string_view line) {
  constexpr std::string_view kAppend = "-A ";
  return line.starts_with(kAppend) ? line.substr(3, line.find(' ', 3) - 3) : "";
}

// As iptables-restore takes them: quotes hold together, a backslash in them is for the next
// character.
std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> words(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (quoted && line[i] == '\\' && i + 1 < line.size()) {
      words.back().push_back(line[++i]);
    } else if (line[i] == '"') {
      quoted = !quoted;
    } else if (!quoted && line[i] == ' ') {
      words.emplace_back();
    } else {
      words.back().push_back(line[i]);
    }
  }
  return words;
}

bool is_ours(const IptablesPlace& place, std::string_view line) {
  const std::vector<std::string> words = words_of(line);
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    if (words[i] == "--comment") {
      if (words[++i] == place.comment) {
        return true;
      }
    } else if ((words[i] == "-j" || words[i] == "-g") && words[i + 1] == place.chain) {
      return true;
    }
  }
  return false;
}

bool says_chain(std::string_view line, std::string_view chain) {
  return line == fmt::format("-N {}", chain) || line.starts_with(fmt::format(":{} ", chain));
}

std::string removal(std::string_view line) {
  return fmt::format("-D{}\n", line.substr(2));
}

}  // namespace

std::vector<std::string> our_iptables_lines(const IptablesPlace& place, std::string_view listing) {
  std::vector<std::string> chain, jumps, rules;
  while (!listing.empty()) {
    const std::string_view line = listing.substr(0, listing.find('\n'));
    listing.remove_prefix(std::min(line.size() + 1, listing.size()));
    if (says_chain(line, place.chain)) {
      chain = {fmt::format(":{} - [0:0]", place.chain)};
    } else if (chain_of(line) == place.chain) {
      rules.emplace_back(line);
    } else if (!chain_of(line).empty() && is_ours(place, line)) {
      jumps.emplace_back(line);
    }
  }
  chain.insert(chain.end(), jumps.begin(), jumps.end());
  chain.insert(chain.end(), rules.begin(), rules.end());
  return chain;
}

std::string iptables_restore_input(const IptablesPlace& place, const std::vector<std::string>& have,
                                   const std::vector<std::string>& want) {
  const auto is_elsewhere = [&](const std::string& line) {
    return line.starts_with("-A ") && chain_of(line) != place.chain;
  };
  const auto wanted_jump = std::ranges::find_if(want, is_elsewhere);
  std::string out = fmt::format("*{}\n", place.table);
  if (!want.empty()) {
    out += want.front() + "\n";  // makes the chain or empties it
  }
  bool jumps = false;
  for (const std::string& line : have) {
    if (wanted_jump != want.end() && line == *wanted_jump && !jumps) {
      jumps = true;
    } else if (is_elsewhere(line)) {
      out += removal(line);
    }
  }
  for (const std::string& line : want) {
    if (chain_of(line) == place.chain || (is_elsewhere(line) && !jumps)) {
      out += line + "\n";
    }
  }
  if (want.empty() && !have.empty() && says_chain(have.front(), place.chain)) {
    out += fmt::format("-F {0}\n-X {0}\n", place.chain);
  }
  return out + "COMMIT\n";
}

}  // namespace flannel

#include "cni/firewall/iptables_nat.h"

#include <algorithm>
#include <sstream>
#include <stdexcept>

#include "base/file.h"
#include "base/printable.h"
#include "cni/firewall/nft_program.h"
#include "firewall/hash_name.h"
#include "firewall/iptables_legacy.h"
#include "firewall/iptables_program.h"
#include "process/process.h"

namespace flannel::cni {
namespace {

constexpr int kTriesAtChange = 5;
constexpr std::size_t kMostIptablesComment = 255;
constexpr std::size_t kMostOfOutput = 1000;  // characters that are quoted of it
// Two of us that find a chain missing at the same moment would both make what leads there: each run
// of iptables-restore is all or nothing, but looking before it is not part of it.
const std::string kLockFile = "/run/flannel-cni-nat.lock";

std::string program(Family family, std::string_view suffix) {
  Result<std::string> path = iptables_program(family, suffix);
  if (!path) {
    throw std::runtime_error(path.error().text);
  }
  return std::move(*path);
}

std::string quoted(const std::string& word) {
  if (!word.empty() && word.find_first_of(" \t\"\\'") == std::string::npos) {
    return word;
  }
  std::string out = "\"";
  for (const char c : word) {
    if (c == '"' || c == '\\') {
      out.push_back('\\');
    }
    out.push_back(c);
  }
  return out + "\"";
}

bool is_in_chain(std::string_view line, std::string_view chain) {
  return line.starts_with(fmt::format("-A {} ", chain));
}

}  // namespace

std::string chain_name(std::string_view prefix, std::string_view network,
                       std::string_view container_id) {
  constexpr std::size_t kLength = 28;
  return hash_name(prefix, std::string(network) + std::string(container_id), kLength);
}

std::string iptables_comment_of(const std::string& text) {
  return text.size() <= kMostIptablesComment ? text
                                             : text.substr(0, kMostIptablesComment - 2) + "...";
}

std::string rule_line(std::string_view command, const NatRule& rule) {
  std::string line = fmt::format("{} {}", command, rule.chain);
  for (const std::string& word : rule.words) {
    line.append(" ").append(quoted(word));
  }
  return line;
}

std::string_view jump_of(std::string_view line) {
  const std::size_t jump = line.rfind(" -j ");
  const std::string_view target = jump == std::string_view::npos ? "" : line.substr(jump + 4);
  return target.find(' ') == std::string_view::npos ? target : "";
}

NatTable parse_nat_table(std::string_view text) {
  NatTable table;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("-N ") || line.starts_with("-P ")) {
      table.chains.insert(line.substr(3, line.find(' ', 3) - 3));
    } else if (line.starts_with("-A ")) {
      table.chains.emplace(jump_of(line));
      table.rules.push_back(line);
    }
  }
  return table;
}

void NatBatch::ensure_chain(const std::string& chain, Expected expected) {
  const bool missing = known_ ? !table_.chains.contains(chain) : expected == Expected::absent;
  if (missing) {
    lines_.push_back("-N " + chain);
    table_.chains.insert(chain);
  }
}

void NatBatch::ensure_rule(const NatRule& rule, Expected expected) {
  const std::string line = rule_line("-A", rule);
  if (std::find(table_.rules.begin(), table_.rules.end(), line) != table_.rules.end()) {
    return;
  }
  const std::string_view command = rule.first ? "-I" : "-A";
  lines_.push_back(rule_line(!known_ && expected == Expected::present ? "-C" : command, rule));
  table_.rules.push_back(line);
}

void NatBatch::remove_rules(const std::function<bool(const std::string& line)>& matches) {
  const auto removed = std::stable_partition(table_.rules.begin(), table_.rules.end(),
                                             [&](const auto& line) { return !matches(line); });
  for (auto line = removed; line != table_.rules.end(); ++line) {
    lines_.push_back("-D" + line->substr(2));
  }
  table_.rules.erase(removed, table_.rules.end());
}

void NatBatch::remove_rule(const NatRule& rule) {
  if (known_) {
    remove_rules([line = rule_line("-A", rule)](const std::string& each) { return each == line; });
  } else {
    lines_.push_back(rule_line("-D", rule));
  }
}

bool NatBatch::has_jump_to(std::string_view chain) const {
  return std::any_of(table_.rules.begin(), table_.rules.end(),
                     [&](const std::string& line) { return jump_of(line) == chain; });
}

void NatBatch::clear_chain(const std::string& chain) {
  if (!table_.chains.contains(chain)) {
    return;
  }
  remove_rules([&](const std::string& line) { return jump_of(line) == chain; });
  lines_.push_back("-F " + chain);
  std::erase_if(table_.rules, [&](const std::string& line) { return is_in_chain(line, chain); });
}

void NatBatch::remove_chain(const std::string& chain, const std::vector<NatRule>& jumps) {
  if (known_ && !table_.chains.contains(chain)) {
    return;
  }
  if (known_) {
    clear_chain(chain);
  } else {
    for (const NatRule& jump : jumps) {
      remove_rule(jump);
    }
    lines_.push_back("-F " + chain);
  }
  lines_.push_back("-X " + chain);
  table_.chains.erase(chain);
}

bool Iptables::installed() const {
  return iptables_program(family_, "-restore").has_value();
}

bool Iptables::has_nft_chain(const std::string& chain) const {
  return Nft::has_chain(fmt::format("{} nat {}", family_ == Family::v4 ? "ip" : "ip6", chain));
}

bool Iptables::may_have_chain(const std::string& chain) const {
  if (has_nft_chain(chain)) {
    return true;
  }
  // The older kind has tables of its own, whose chains only its program can list.
  return has_legacy_table(family_, "nat");
}

std::string Iptables::restore(const std::vector<std::string>& lines) const {
  const std::string path = program(family_, "-restore");
  const ProcessOutput output = run_process(
      path, {"--noflush", "--wait"}, fmt::format("*nat\n{}\nCOMMIT\n", fmt::join(lines, "\n")));
  if (output.status == 0) {
    return "";
  }
  return fmt::format("{}: {}", path, printable(output.err, kMostOfOutput));
}

NatTable Iptables::list(const std::vector<std::string>& chains) const {
  std::string text;
  for (const std::string& chain : chains) {
    if (!may_have_chain(chain)) {
      continue;
    }
    const std::string path = program(family_, "");
    const ProcessOutput output = run_process(path, {"--wait", "-t", "nat", "-S", chain}, "");
    if (output.status == 0) {
      text += output.out;
    } else if (chain == chains.front()) {  // any other may just not be there
      throw std::runtime_error(fmt::format("{}: {}", path, printable(output.err, kMostOfOutput)));
    }
  }
  return parse_nat_table(text);
}

void Iptables::change(const NatPlan& plan) const {
  if (!restore(plan.batch(nullptr).lines()).empty()) {
    change_known(plan);
  }
}

void Iptables::change_known(const NatPlan& plan) const {
  // Where there can be no lock, iptables-restore's own has to do.
  const Result<UniqueFd> lock = lock_file(kLockFile, 0600);
  std::string refusal;
  std::optional<NatTable> before;
  for (int left = kTriesAtChange; left > 0; --left) {
    NatTable table = list(plan.chains);
    const NatBatch batch = plan.batch(&table);
    if (batch.lines().empty()) {
      return;
    }
    if (table == before) {
      break;  // it was nobody else's change that made it fail
    }
    refusal = restore(batch.lines());
    if (refusal.empty()) {
      return;
    }
    before = std::move(table);
  }
  throw std::runtime_error(refusal);
}

bool Iptables::has(const std::vector<NatRule>& rules) const {
  std::vector<std::string> lines;
  for (const NatRule& rule : rules) {
    lines.push_back(rule_line("-C", rule));
  }
  return restore(lines).empty();  // with --test it would not look
}

}  // namespace flannel::cni

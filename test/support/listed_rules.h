// Rules of iptables as its programs list them: a look at the kernel runs none.
#pragma once

#include <vector>

#include "firewall/iptables_rules.h"
#include "kernel/net_state.h"
#include "test/support/shell.h"

namespace flannel {

// `rows` with the lines that the programs say those of iptables have.
inline Table<Ruleset> listed_rules(const Table<Ruleset>& rows) {
  std::vector<Ruleset> out;
  for (const Ruleset& row : rows) {
    out.push_back(row);
    if (row.key.tool == FirewallTool::iptables) {
      const char* const program = row.key.family == Family::v4 ? "iptables" : "ip6tables";
      out.back().lines = our_iptables_lines(
          iptables_place(row.key), shell(fmt::format("{}-save -t {}", program, row.key.table)));
    }
  }
  return Table<Ruleset>(std::move(out));
}

}  // namespace flannel

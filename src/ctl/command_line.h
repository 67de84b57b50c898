// flannelctl's command lines: words, and options that begin with --.
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace flannel {

struct CommandLine {
  std::vector<std::string> words;
  std::map<std::string, std::string> options;  // by name, without --; "" for one without a value

  bool has(const std::string& name) const { return options.contains(name); }
  std::string get(const std::string& name, std::string_view otherwise) const;
};

// What a command takes.
struct CommandSyntax {
  std::set<std::string> with_value;
  std::set<std::string> without_value;
  // So many words at most are read; what follows the last of them is taken as it is, also where it
  // looks like an option (`lab exec p1 ping -c 1 …`).
  std::size_t words_before_rest = SIZE_MAX;
};

// `--name value`, `--name=value`, `--name`. Error: an unknown option, a value missing or too much.
Result<CommandLine> parse_command_line(std::span<const std::string> arguments,
                                       const CommandSyntax& syntax);

}  // namespace flannel

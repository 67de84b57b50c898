// flannelctl's command lines: one table of commands says what is taken, what is refused and what
// the help shows.
#pragma once

#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace flannel {

struct Option {
  std::string_view name;   // without --
  std::string_view value;  // what the help calls it: `N`; in brackets: only as --name=N; or none
  std::string_view help;
};

// What was given to a command.
struct CommandLine {
  std::vector<std::string> words;
  std::map<std::string, std::string, std::less<>> options;  // by name; "" for one without a value

  bool has(std::string_view name) const { return options.contains(name); }
  std::string get(std::string_view name, std::string_view otherwise) const;
};

struct Command {
  std::string_view name;  // `status`, `lab up`; none is the beginning of another
  // As the help shows them: `nI [WORD]`. What is in brackets may be missing; one that ends in `…`
  // stands for any number, which are another program's: taken as they are, options too.
  std::string_view words;
  std::vector<Option> options;
  std::string_view help;     // one line; empty: not for people, and not shown
  std::string_view details;  // more of it, lines of at most 78 characters
  // Returns the exit code.
  std::function<int(const CommandLine&)> run;
};

// What a command line asks for: a command to run, or a text to show.
struct Call {
  const Command* command = nullptr;  // one of the table
  CommandLine line;
  std::string help;      // where it is not empty, it is shown and nothing is run
  bool is_asked = true;  // for the help; else a command was forgotten
};

// `--name value`, `--name=value` and `--name` before, between and behind the words; `--` ends the
// options. `-h`, `--help` and `help` ask for help everywhere, `--version` is the command `version`.
// Error, one line: a command, option or word that is unknown, missing or too much, with what was
// probably meant.
Result<Call> parse_call(std::span<const Command> commands, std::span<const std::string> arguments);

}  // namespace flannel

#include "ctl/command_line.h"

namespace flannel {

std::string CommandLine::get(const std::string& name, std::string_view otherwise) const {
  const auto found = options.find(name);
  return found == options.end() ? std::string(otherwise) : found->second;
}

Result<CommandLine> parse_command_line(std::span<const std::string> arguments,
                                       const CommandSyntax& syntax) {
  CommandLine line;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    const bool rest = line.words.size() >= syntax.words_before_rest;
    if (rest || !argument.starts_with("--")) {
      line.words.push_back(argument);
      continue;
    }
    const std::size_t equals = argument.find('=');
    const std::string name = argument.substr(2, equals - 2);
    const bool has_value = equals != std::string::npos;
    if (syntax.without_value.contains(name)) {
      if (has_value) {
        return fail("option --{} takes no value: {}", name, argument);
      }
      line.options[name] = "";
    } else if (!syntax.with_value.contains(name)) {
      return fail("unknown option --{}", name);
    } else if (has_value) {
      line.options[name] = argument.substr(equals + 1);
    } else if (i + 1 < arguments.size()) {
      line.options[name] = arguments[++i];
    } else {
      return fail("option --{} needs a value", name);
    }
  }
  return line;
}

}  // namespace flannel

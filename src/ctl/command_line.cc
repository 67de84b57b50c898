#include "ctl/command_line.h"

#include <algorithm>

#include "base/nearest.h"
#include "base/printable.h"
#include "ctl/columns.h"

namespace flannel {
namespace {

constexpr std::string_view kProgram = "flannelctl";
constexpr std::size_t kMostOptionsInLine = 3;

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    out.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return out;
}

// How many words a command takes.
struct WordCount {
  std::size_t least = 0, most = 0;
  std::size_t before_rest = SIZE_MAX;
};

WordCount count_words(const Command& command) {
  WordCount count;
  for (const std::string_view word : split(command.words)) {
    if (word.ends_with("…")) {
      count.before_rest = count.most;
    }
    ++count.most;
    count.least += word.starts_with('[') ? 0 : 1;
  }
  return count;
}

bool is_under(const Command& command, std::string_view group) {
  return group.empty() || command.name == group ||
         (command.name.starts_with(group) && command.name[group.size()] == ' ');
}

std::string join(std::string_view group, std::string_view word) {
  return fmt::format("{}{}{}", group, group.empty() || word.empty() ? "" : " ", word);
}

std::string option_text(const Option& option) {
  if (option.value.starts_with('[')) {
    return fmt::format("--{}[={}", option.name, option.value.substr(1));
  }
  return fmt::format("--{}{}{}", option.name, option.value.empty() ? "" : " ", option.value);
}

std::string usage(const Command& command) {
  std::string out = join(kProgram, command.name);
  out += command.options.size() > kMostOptionsInLine ? " [OPTION…]" : "";
  for (const Option& option : command.options) {
    out += command.options.size() > kMostOptionsInLine ? ""
                                                       : fmt::format(" [{}]", option_text(option));
  }
  return join(out, command.words);
}

std::string help_of(const Command& command) {
  std::vector<std::vector<std::string>> lines;
  for (const Option& option : command.options) {
    lines.push_back({option_text(option), std::string(option.help)});
  }
  return fmt::format("Usage: {}\n\n{}\n{}{}{}{}", usage(command), command.help,
                     command.details.empty() ? "" : "\n", command.details,
                     lines.empty() ? "" : "\n", in_columns(lines, "  "));
}

std::string help_of(std::span<const Command> commands, std::string_view group) {
  std::vector<std::vector<std::string>> lines;
  for (const Command& command : commands) {
    if (is_under(command, group) && !command.help.empty()) {
      lines.push_back({join(command.name, command.words), std::string(command.help)});
    }
  }
  return fmt::format("Usage: {} COMMAND\n\n{}\n`{} COMMAND --help` says more about one.\n",
                     join(kProgram, group), in_columns(lines, "  "), kProgram);
}

std::string did_you_mean(std::string_view meant, std::string_view before = "") {
  return meant.empty() ? "" : fmt::format("; did you mean {}{}?", before, meant);
}

Error unknown_command(std::span<const Command> commands, std::string_view group,
                      const std::string& word) {
  std::vector<std::string_view> known;
  for (const Command& command : commands) {
    if (is_under(command, group) && !command.help.empty()) {
      known.push_back(split(command.name).front());
      known.push_back(split(command.name).back());
    }
  }
  std::string_view meant = nearest(word, known);
  for (const Command& command : commands) {
    if (!meant.empty() && is_under(command, group) && split(command.name).back() == meant) {
      meant = command.name;
      break;
    }
  }
  return {fmt::format("{}: unknown command {}{}; {} --help lists them", kProgram,
                      join(group, printable(word)), did_you_mean(meant), join(kProgram, group))};
}

// One pass over the arguments.
class Parser {
 public:
  explicit Parser(std::span<const Command> commands) : commands_(commands) {}

  Result<Call> parse(std::span<const std::string> arguments) {
    for (at_ = 0; at_ < arguments.size(); ++at_) {
      const std::string& argument = arguments[at_];
      const bool is_end =
          argument == "--" && !options_ended_ && call_.line.words.size() <= count_.before_rest;
      const Result<void> taken = is_end                ? end_options()
                                 : is_option(argument) ? take_option(arguments)
                                                       : take_word(argument);
      if (!taken) {
        return std::unexpected(taken.error());
      }
    }
    return finish();
  }

 private:
  Result<void> end_options() {
    options_ended_ = true;
    return {};
  }
  bool is_option(const std::string& argument) const {
    return argument.size() > 1 && argument[0] == '-' && !options_ended_ &&
           call_.line.words.size() <= count_.before_rest;
  }

  template <class... Args>
  std::unexpected<Error> refuse(fmt::format_string<Args...> format, Args&&... args) const {
    const std::string text = fmt::format(format, std::forward<Args>(args)...);
    return call_.command == nullptr
               ? fail("{}: {}; see {} --help", kProgram, text, join(kProgram, group_))
               : fail("{}: {}; usage: {}", join(kProgram, call_.command->name), text,
                      usage(*call_.command));
  }

  // Of the command or, where that is not known yet, of any that it may be.
  std::vector<const Option*> known_options() const {
    std::vector<const Option*> out;
    for (const Command& command : commands_) {
      if (call_.command == nullptr ? is_under(command, group_) : &command == call_.command) {
        for (const Option& option : command.options) {
          out.push_back(&option);
        }
      }
    }
    return out;
  }

  Result<void> take_option(std::span<const std::string> arguments) {
    const std::string& argument = arguments[at_];
    const std::size_t equals = argument.find('=');
    const bool is_long = argument.starts_with("--");
    const std::string name = argument.substr(is_long ? 2 : 1, equals - (is_long ? 2 : 1));
    if (argument == "-h" || argument == "--help") {
      wants_help_ = true;
      return {};
    }
    if (argument == "--version" && call_.command == nullptr) {
      return take_word("version");
    }
    const std::vector<const Option*> known = known_options();
    const auto found = std::find_if(known.begin(), known.end(),
                                    [&](const Option* option) { return option->name == name; });
    if (!is_long || found == known.end()) {
      std::vector<std::string_view> names{"help"};
      std::transform(known.begin(), known.end(), std::back_inserter(names),
                     [](const Option* option) { return option->name; });
      return refuse("unknown option {}{}", printable(argument.substr(0, equals)),
                    did_you_mean(nearest(name, names), "--"));
    }
    if (call_.line.has(name)) {
      return refuse("option --{} is given twice", name);
    }
    const std::string_view wanted = (*found)->value;
    if (equals != std::string::npos) {
      if (wanted.empty()) {
        return refuse("option --{} takes no value", name);
      }
      call_.line.options[name] = argument.substr(equals + 1);
    } else if (wanted.empty() || wanted.starts_with('[')) {
      call_.line.options[name] = "";
    } else if (at_ + 1 < arguments.size() && !arguments[at_ + 1].starts_with("--")) {
      call_.line.options[name] = arguments[++at_];
    } else {
      return refuse("option --{} needs a value", name);
    }
    return {};
  }

  Result<void> take_word(const std::string& word) {
    if (call_.command != nullptr) {
      call_.line.words.push_back(word);
      return {};
    }
    if (word == "help") {
      wants_help_ = true;
      return {};
    }
    const std::string path = join(group_, word);
    for (const Command& command : commands_) {
      if (command.name == path) {
        call_.command = &command;
        count_ = count_words(command);
        return {};
      }
    }
    if (std::none_of(commands_.begin(), commands_.end(),
                     [&](const Command& command) { return is_under(command, path); })) {
      return std::unexpected(unknown_command(commands_, group_, word));
    }
    group_ = path;
    return {};
  }

  Result<Call> finish() {
    const std::vector<std::string>& words = call_.line.words;
    const bool is_too_much = words.size() > count_.most && count_.before_rest == SIZE_MAX;
    if (call_.command == nullptr || wants_help_ || (is_too_much && words[count_.most] == "help")) {
      call_.is_asked = wants_help_ || call_.command != nullptr;
      call_.help = call_.command == nullptr ? help_of(commands_, group_) : help_of(*call_.command);
      return std::move(call_);
    }
    if (is_too_much) {
      return refuse("unexpected {}", printable(words[count_.most]));
    }
    if (words.size() < count_.least) {
      return refuse("{} is missing", split(call_.command->words)[words.size()]);
    }
    const std::vector<const Option*> known = known_options();
    for (const auto& [name, value] : call_.line.options) {
      if (std::none_of(known.begin(), known.end(),
                       [&](const Option* option) { return option->name == name; })) {
        return refuse("unknown option --{}", name);
      }
    }
    return std::move(call_);
  }

  std::span<const Command> commands_;
  std::size_t at_ = 0;
  WordCount count_;    // of the command, once it is known
  std::string group_;  // the words of a command's name so far
  bool options_ended_ = false;
  bool wants_help_ = false;
  Call call_;
};

}  // namespace

std::string CommandLine::get(std::string_view name, std::string_view otherwise) const {
  const auto found = options.find(name);
  return found == options.end() ? std::string(otherwise) : found->second;
}

Result<Call> parse_call(std::span<const Command> commands, std::span<const std::string> arguments) {
  return Parser(commands).parse(arguments);
}

}  // namespace flannel

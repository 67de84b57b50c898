#include "daemon/go_flags.h"

#include <algorithm>
#include <charconv>

#include "base/nearest.h"
#include "base/printable.h"

namespace flannel {
namespace {

const GoFlag* find_flag(std::span<const GoFlag> flags, std::string_view name) {
  const auto at = std::find_if(flags.begin(), flags.end(),
                               [&](const GoFlag& flag) { return flag.name == name; });
  return at == flags.end() ? nullptr : &*at;
}

std::unexpected<Error> bad_value(const GoFlag& flag, std::string_view value, const Error& reason) {
  return fail("invalid {}value \"{}\" for {}-{}: {}", flag.is_bool() ? "boolean " : "",
              printable(value), flag.is_bool() ? "" : "flag ", flag.name, reason.text);
}

std::unexpected<Error> unknown_flag(std::span<const GoFlag> flags, std::string_view name) {
  std::vector<std::string_view> known{"help"};
  for (const GoFlag& flag : flags) {
    known.push_back(flag.name);
  }
  const std::string_view meant = nearest(name, known);
  return fail("flag provided but not defined: -{}{}", printable(name),
              meant.empty() ? "" : fmt::format("; did you mean --{}?", meant));
}

int digit_value(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 16;
}

// Removes underscores that stand where Go allows them: between digits, or after the base prefix.
bool drop_underscores(std::string& digits, bool after_prefix) {
  std::string out;
  bool may_follow = after_prefix;
  for (const char c : digits) {
    if (c == '_') {
      if (!may_follow) {
        return false;
      }
      may_follow = false;
    } else {
      out += c;
      may_follow = true;
    }
  }
  const bool dangling = !digits.empty() && digits.back() == '_';
  digits = out;
  return !dangling;
}

}  // namespace

std::string without_value(std::string_view word) {
  const std::size_t equals = word.find('=');
  return equals == std::string_view::npos ? printable(word)
                                          : printable(word.substr(0, equals)) + "=…";
}

std::optional<bool> parse_go_bool(std::string_view text) {
  for (const std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"}) {
    if (text == yes) {
      return true;
    }
  }
  for (const std::string_view no : {"0", "f", "F", "false", "FALSE", "False"}) {
    if (text == no) {
      return false;
    }
  }
  return std::nullopt;
}

Result<std::int64_t> parse_go_int(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) {
    text.remove_prefix(1);
  }
  int base = 10;
  std::size_t prefix = 0;
  if (text.size() > 1 && text[0] == '0') {
    const char kind = static_cast<char>(text[1] | 0x20);
    base = kind == 'x' ? 16 : kind == 'b' ? 2 : 8;
    prefix = kind == 'x' || kind == 'b' || kind == 'o' ? 2 : 1;
  }
  std::string digits(text.substr(prefix));
  if (!drop_underscores(digits, prefix > 0) || digits.empty() ||
      !std::all_of(digits.begin(), digits.end(), [&](char c) { return digit_value(c) < base; })) {
    return fail("parse error");
  }
  std::uint64_t magnitude = 0;
  const auto [end, error] =
      std::from_chars(digits.data(), digits.data() + digits.size(), magnitude, base);
  const std::uint64_t most = negative ? std::uint64_t{1} << 63 : INT64_MAX;
  if (error != std::errc() || end != digits.data() + digits.size() || magnitude > most) {
    return fail("value out of range");
  }
  return static_cast<std::int64_t>(negative ? 0 - magnitude : magnitude);
}

Result<GoFlagsOutcome> parse_go_flags(std::span<const GoFlag> flags,
                                      std::span<const std::string> words) {
  GoFlagsOutcome outcome;
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::string_view word = words[i];
    if (word == "--") {
      outcome.ignored.assign(words.begin() + static_cast<std::ptrdiff_t>(i) + 1, words.end());
      return outcome;
    }
    if (word.size() < 2 || word[0] != '-') {
      outcome.ignored.assign(words.begin() + static_cast<std::ptrdiff_t>(i), words.end());
      return outcome;
    }
    word.remove_prefix(word[1] == '-' ? 2 : 1);
    if (word.starts_with('-') || word.starts_with('=')) {
      return fail("bad flag syntax: {}", without_value(words[i]));
    }
    const std::size_t equals = word.find('=');
    const std::string_view name = word.substr(0, equals);
    const GoFlag* flag = find_flag(flags, name);
    if (flag == nullptr) {
      if (name == "h" || name == "help") {
        outcome.help = true;
        return outcome;
      }
      return unknown_flag(flags, name);
    }
    std::string_view value = "true";
    if (equals != std::string_view::npos) {
      value = word.substr(equals + 1);
    } else if (!flag->is_bool()) {
      if (++i == words.size()) {
        return fail("flag needs an argument: -{}", name);
      }
      value = words[i];
    }
    if (const Result<void> set = flag->set(value); !set) {
      return bad_value(*flag, value, set.error());
    }
    outcome.given.emplace(name);
  }
  return outcome;
}

std::string go_usage(std::span<const GoFlag> flags) {
  std::vector<const GoFlag*> sorted;
  for (const GoFlag& flag : flags) {
    sorted.push_back(&flag);
  }
  std::sort(sorted.begin(), sorted.end(),
            [](const GoFlag* a, const GoFlag* b) { return a->name < b->name; });
  std::string out;
  for (const GoFlag* flag : sorted) {
    out += fmt::format("  -{}{}{}\n    \t{}", flag->name, flag->is_bool() ? "" : " ",
                       flag->value_name, flag->help);
    const bool zero =
        flag->default_text.empty() || flag->default_text == "0" || flag->default_text == "false";
    if (!zero) {
      out += flag->value_name == "string" ? fmt::format(" (default \"{}\")", flag->default_text)
                                          : fmt::format(" (default {})", flag->default_text);
    }
    out += "\n";
  }
  return out;
}

}  // namespace flannel

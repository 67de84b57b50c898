// Command lines in the syntax of Go's flag package, which flannel's users write.
//
//   -x  --x  -x=v  --x=v  -x v   (bool flags: only -x and -x=v);  -- or the first word that is no
//   flag ends the flags.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace flannel {

struct GoFlag {
  std::string_view name;
  std::string_view value_name;  // for the usage: "string", "int", …; empty for a bool flag
  std::string default_text;
  std::string_view help;
  // Takes a value's text; false where it cannot be parsed.
  std::function<bool(std::string_view)> set;

  bool is_bool() const { return value_name.empty(); }
};

struct GoFlagsOutcome {
  bool help = false;
  std::vector<std::string> given;    // names of the flags that were there
  std::vector<std::string> ignored;  // words from the first one that is no flag
};

// Sets flags from `words` (without the program's name). Errors are Go's sentences.
Result<GoFlagsOutcome> parse_go_flags(std::span<const GoFlag> flags,
                                      std::span<const std::string> words);

// Every flag with its default and help, sorted by name, as Go's PrintDefaults writes them.
std::string go_usage(std::span<const GoFlag> flags);

// strconv.ParseBool: 1 t T true TRUE True, 0 f F false FALSE False.
std::optional<bool> parse_go_bool(std::string_view text);
// strconv.ParseInt with base 0: decimal, 0x, 0o, 0b, leading 0 for octal, underscores between
// digits.
std::optional<std::int64_t> parse_go_int(std::string_view text);

}  // namespace flannel

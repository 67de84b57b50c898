// Command lines in the syntax of Go's flag package, which flannel's users write.
//
//   -x  --x  -x=v  --x=v  -x v   (bool flags: only -x and -x=v);  -- or the first word that is no
//   flag ends the flags.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
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
  // Takes a value's text. Error: Go's reason, `parse error` or `value out of range`.
  std::function<Result<void>(std::string_view)> set;

  bool is_bool() const { return value_name.empty(); }
};

struct GoFlagsOutcome {
  bool help = false;
  std::set<std::string, std::less<>> given;  // names of the flags that were there
  std::vector<std::string> ignored;          // words from the first one that is no flag
};

// Sets flags from `words` (without the program's name). Errors are Go's sentences, with the flag
// that was probably meant; values that may be a password are not in them.
Result<GoFlagsOutcome> parse_go_flags(std::span<const GoFlag> flags,
                                      std::span<const std::string> words);

// Every flag with its default and help, sorted by name, as Go's PrintDefaults writes them.
std::string go_usage(std::span<const GoFlag> flags);

// For messages: `--etcd-password=…` of a word with a value, which may be a secret.
std::string without_value(std::string_view word);

// strconv.ParseBool: 1 t T true TRUE True, 0 f F false FALSE False.
std::optional<bool> parse_go_bool(std::string_view text);
// strconv.ParseInt with base 0: decimal, 0x, 0o, 0b, leading 0 for octal, underscores between
// digits. Error: Go's reason.
Result<std::int64_t> parse_go_int(std::string_view text);

}  // namespace flannel

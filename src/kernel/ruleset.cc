#include "kernel/ruleset.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/printable.h"

namespace flannel {

std::string Ruleset::text() const {
  std::string out =
      fmt::format("rules {} {} {}", to_text(key.tool), to_text(key.family), key.table);
  for (const std::string& line : lines) {
    const std::size_t tabs = std::min(line.find_first_not_of('\t'), line.size());
    out += line.empty() ? "\n"
                        : fmt::format("\n{:{}}{}", "", 2 * (tabs + 1),
                                      printable(line.substr(tabs), kSentenceMost));
  }
  return out;
}

}  // namespace flannel

#include "base/nearest.h"

#include <algorithm>
#include <numeric>
#include <vector>

namespace flannel {
namespace {

// Letters to put in, leave out, change or swap with the next (optimal string alignment).
std::size_t distance(std::string_view a, std::string_view b) {
  std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  std::iota(cost[0].begin(), cost[0].end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    cost[i][0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1,
                             cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
      }
    }
  }
  return cost[a.size()][b.size()];
}

}  // namespace

std::string_view nearest(std::string_view word, std::span<const std::string_view> known) {
  constexpr std::size_t kLongest = 32;  // the time is quadratic
  constexpr std::size_t kLeastBeginning = 3;
  const auto begins = [&](std::string_view candidate) { return candidate.starts_with(word); };
  const auto first = std::ranges::find_if(known, begins);
  if (word.size() >= kLeastBeginning && first != known.end() &&
      std::ranges::count_if(known, begins) == std::ranges::count(known, *first)) {
    return *first;
  }
  std::string_view best;
  std::size_t least = std::min(word.size(), kLongest) / 3 + 1;
  for (const std::string_view candidate : known) {
    const std::size_t away = word.size() > kLongest ? least : distance(word, candidate);
    if (away < least) {
      best = candidate;
      least = away;
    }
  }
  return best;
}

}  // namespace flannel

#include "reconcile/problems.h"

#include <algorithm>
#include <utility>

#include "reconcile/by_key.h"

namespace flannel {

bool by_key(const Problem& a, const Problem& b) {
  return key_less(a.op.object, b.op.object);
}

const Problem* find_problem(const std::vector<Problem>& problems, const Object& object) {
  return find_by_key(problems, object,
                     [](const Problem& problem) -> const Object& { return problem.op.object; });
}

const Problem* find_failed(const std::vector<Problem>& problems, const Op& op) {
  const Problem* const known = find_problem(problems, op.object);
  return known != nullptr && known->op == op ? known : nullptr;
}

bool continue_problem(const std::vector<Problem>& problems, Problem& problem) {
  const auto [first, last] = std::ranges::equal_range(problems, problem, by_key);
  const auto known =
      std::find_if(first, last, [&](const Problem& each) { return each.op == problem.op; });
  if (known == last) {
    return true;
  }
  problem.since = known->since;
  problem.attempts += known->attempts;
  return known->error != problem.error;
}

void put_problem(std::vector<Problem>& problems, Problem problem) {
  std::erase_if(problems, [&](const Problem& each) { return each.op == problem.op; });
  problems.insert(std::ranges::upper_bound(problems, problem, by_key), std::move(problem));
}

}  // namespace flannel

// The list of what the kernel refused, by the key of the object, and what is known of each entry.
#pragma once

#include <vector>

#include "reconcile/report.h"

namespace flannel {

// The order of the list.
bool by_key(const Problem& a, const Problem& b);

// The problem of the object's key; null where there is none.
const Problem* find_problem(const std::vector<Problem>& problems, const Object& object);
// The problem of `op`, which failed and has not been done since; null where there is none.
const Problem* find_failed(const std::vector<Problem>& problems, const Op& op);
// Where the same op failed before, `problem` gets the time of the first failure and the attempts
// since. True where it is new, or fails for another reason than before.
bool continue_problem(const std::vector<Problem>& problems, Problem& problem);
// Adds it, in place of one of the same op.
void put_problem(std::vector<Problem>& problems, Problem problem);

}  // namespace flannel

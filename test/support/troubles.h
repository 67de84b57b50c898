// What watches of a store say of their troubles.
#pragma once

#include <string>
#include <vector>

namespace flannel {

// Adds it, unless it is the first and says that all is well: no watch had a trouble so far.
inline void note_trouble(std::vector<std::string>& troubles, const std::string& trouble) {
  if (!trouble.empty() || !troubles.empty()) {
    troubles.push_back(trouble);
  }
}

}  // namespace flannel

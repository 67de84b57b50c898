// Warnings that hold for a while, each of them logged once.
#pragma once

#include <set>
#include <string>

namespace flannel {

class StandingWarnings {
 public:
  // Those that hold now. What is new among them goes to the log; of many the first few, and how
  // many more there are. One that ended and comes again is new.
  void set(std::set<std::string> now);

 private:
  std::set<std::string> logged_;
};

}  // namespace flannel

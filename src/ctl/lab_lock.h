// One flannelctl at a time makes or removes a lab.
#pragma once

#include <string>

#include "base/file.h"

namespace flannel {

// The folder of a lab's files.
std::string lab_directory(const std::string& name);

class LabLock {
 public:
  // Waits, and says so, for whoever works on the lab: another flannelctl, or a program that one ran
  // for it when it was killed. Makes the lab's folder. Throws std::runtime_error, also where it
  // is interrupted.
  explicit LabLock(const std::string& name);

 private:
  UniqueFd fd_;
};

}  // namespace flannel

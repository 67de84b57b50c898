// Steps that are taken back unless all of them succeed.
#pragma once

#include <exception>
#include <functional>
#include <vector>

namespace flannel::cni {

class Undo {
 public:
  Undo() = default;
  Undo(const Undo&) = delete;
  Undo& operator=(const Undo&) = delete;
  // Takes back what was done, the last first; a step that cannot be taken back stops no other.
  ~Undo() {
    while (!steps_.empty()) {
      try {
        steps_.back()();
      } catch (const std::exception&) {
        // The error that brought us here is the one to report.
      }
      steps_.pop_back();
    }
  }

  void add(std::function<void()> step) { steps_.push_back(std::move(step)); }
  // All went well: nothing is taken back.
  void dismiss() { steps_.clear(); }

 private:
  std::vector<std::function<void()>> steps_;
};

}  // namespace flannel::cni

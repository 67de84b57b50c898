// Steps that are all tried: one that fails keeps no other from being done.
#pragma once

#include <fmt/core.h>

#include <cstddef>
#include <functional>
#include <optional>

#include "cni/protocol/error.h"

namespace flannel::cni {

class Attempts {
 public:
  void run(const std::function<void()>& step) {
    try {
      step();
    } catch (const std::exception& error) {
      failed(to_cni_error(error));
    }
  }
  // Throws the first failure, and says how many others there were.
  void finish() const {
    if (first_) {
      throw CniError(first_->code(),
                     failures_ == 1
                         ? first_->what()
                         : fmt::format("{}, and {} more failures", first_->what(), failures_ - 1),
                     first_->details());
    }
  }

 private:
  void failed(const CniError& error) {
    if (!first_) {
      first_ = error;
    }
    ++failures_;
  }

  std::optional<CniError> first_;
  std::size_t failures_ = 0;
};

}  // namespace flannel::cni

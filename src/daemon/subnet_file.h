// subnet.env: that this node is part of the overlay, and how, for whoever starts pods.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <string>

#include "base/backoff.h"
#include "base/task.h"
#include "base/wake.h"

namespace flannel {

class SubnetFile {
 public:
  // `retries`: between attempts where it cannot be written.
  SubnetFile(const asio::any_io_executor& executor, std::string path, Backoff retries);

  // What it is to say from now on.
  void set(std::string text);
  bool is_set() const { return !wanted_.empty(); }
  // Why it is not there yet, in the file beside it that the CNI plugin reads. Nothing once it is.
  void explain(const std::string& reason) const;

  // It was written at least once.
  bool is_written() const { return !written_.empty(); }
  // It was written, or cannot be.
  bool is_tried() const { return is_written() || !trouble_.empty(); }
  // Why it cannot be written; empty where it can.
  const std::string& trouble() const { return trouble_; }

  // Until cancelled.
  Task<void> run();

  // After each time.
  std::function<void()> on_tried;

 private:
  Deadline write();
  void set_trouble(const std::string& trouble);

  const std::string path_;
  Backoff retries_;
  Wake wake_;
  std::string wanted_, written_;  // its text; empty before the first
  std::string trouble_;
};

}  // namespace flannel

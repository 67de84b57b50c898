#include "daemon/subnet_file.h"

#include <unistd.h>

#include <chrono>
#include <utility>

#include "base/file.h"
#include "base/log.h"
#include "base/printable.h"
#include "network/subnet_env.h"

namespace flannel {

SubnetFile::SubnetFile(const asio::any_io_executor& executor, std::string path, Backoff retries)
    : path_(std::move(path)), retries_(retries), wake_(executor) {}

void SubnetFile::set(std::string text) {
  wanted_ = std::move(text);
  wake_.set();
}

void SubnetFile::explain(const std::string& reason) const {
  if (is_written()) {
    return;
  }
  const Result<void> written =
      replace_file(reason_file(path_), printable(reason, kSentenceMost) + "\n", 0644);
  if (!written) {
    log_verbose(1, "{}", written.error().text);
  }
}

// Returns when to try again.
Deadline SubnetFile::write() {
  if (wanted_ == written_) {
    return kNever;
  }
  const Result<void> result = replace_file(path_, wanted_, 0644);
  set_trouble(result ? "" : "Failed to write subnet file: " + result.error().text);
  if (result) {
    written_ = wanted_;
    retries_.reset();
    log_info("Wrote subnet file to {}", path_);
    ::unlink(reason_file(path_).c_str());
  }
  on_tried();
  return result ? kNever : std::chrono::steady_clock::now() + retries_.next();
}

void SubnetFile::set_trouble(const std::string& trouble) {
  if (trouble != trouble_ && !trouble.empty()) {
    log_warning("{}", trouble);
    explain(trouble);
  }
  trouble_ = trouble;
}

Task<void> SubnetFile::run() {
  for (;;) {
    co_await wake_.wait(write());
  }
}

}  // namespace flannel

// Notifies when a file changes: inotify on its directory.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/task.h"

namespace flannel {

class FileWatch {
 public:
  // Watches `path`, which exists, and every file beside it whose name begins with its name, as
  // SQLite's -wal does. Throws std::system_error.
  FileWatch(const asio::any_io_executor& executor, const std::filesystem::path& path);

  // Returns after a change since the last call, or at `deadline`.
  Task<void> changed_or(std::chrono::steady_clock::time_point deadline);

 private:
  bool read_some();

  std::string directory_, name_;
  asio::posix::stream_descriptor events_;
  asio::steady_timer deadline_;
};

// The file's text, as soon as it is another than `last`, or there is one where `last` is nothing:
// also where the file is reached by links that are exchanged, as those of a ConfigMap. Error: it
// cannot be read any more, and why.
Task<Result<std::string>> next_text(std::string path, std::optional<std::string> last);

}  // namespace flannel

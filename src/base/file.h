// Whole files: read, and replaced in one step.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "base/result.h"

namespace flannel {

// A file descriptor that closes itself. -1 is none.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~UniqueFd();

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_ = -1;
};

// For descriptors that a library made: no program that we start inherits it.
void close_on_exec(int fd);

// All that is left to read; the error is the system's reason.
Result<std::string> read_all(int fd);
// All of the text or, with errno, false.
bool write_all(int fd, std::string_view text);

// The whole text of a file; the error is `open PATH: REASON`, as Go words it.
Result<std::string> read_file(const std::string& path);

// Makes a folder where it is missing, and its parents, 0755; those too that somebody removes
// meanwhile because they are empty. False where it was there. The error is `mkdir PATH: REASON`.
Result<bool> make_folders(const std::string& path);

// Replaces `path` by a complete file or not at all: a temporary file in the same directory,
// fsync, rename. `mode` regardless of the umask; missing parent directories are made, 0755.
Result<void> replace_file(const std::string& path, std::string_view text, mode_t mode);

// Waits until no other process holds the file's lock, and holds it until the descriptor is closed.
// The file is made where it is missing, with `mode`; its folder has to be there, and is locked
// itself where the disk has no room for the file. The error names the file.
Result<UniqueFd> lock_file(const std::string& path, mode_t mode);

// Makes a file that is complete as soon as it has its name, and never has it otherwise, also when
// the process is killed meanwhile: nothing else stays. `durable`: it is on the disk as well. False
// where there is one of that name, which is left as it is. The folder has to be there.
Result<bool> create_file(const std::string& path, std::string_view text, mode_t mode,
                         bool durable = false);

}  // namespace flannel

// Whole files: read, and replaced in one step.
#pragma once

#include <sys/types.h>

#include <cstddef>
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

// More than anybody keeps in a file that is read whole, and few enough to be held in memory.
inline constexpr std::size_t kMostRead = 16 << 20;  // bytes

// All that is left to read; the error is the system's reason, for more than `most` bytes "File too
// large".
Result<std::string> read_all(int fd, std::size_t most = kMostRead);
// All of the text or, with errno, false.
bool write_all(int fd, std::string_view text);

// A path's last component that is a symbolic link: administrators put some where they choose the
// path; where programs alone choose the names, one can only have been planted.
enum class Links { followed, refused };

// The whole text of a regular file of at most `most` bytes. Nothing else is waited for: a FIFO, a
// terminal, a device. The error is `open PATH: REASON` or `read PATH: REASON`, as Go words it.
Result<std::string> read_file(const std::string& path, std::size_t most = kMostRead,
                              Links links = Links::followed);

// Makes a folder where it is missing, with `mode`, and its parents, 0755, less what the umask takes
// away; those too that somebody removes meanwhile because they are empty. False where it was there.
// The error is `mkdir PATH: REASON`.
Result<bool> make_folders(const std::string& path, mode_t mode = 0755);

// Replaces `path` by a complete file or not at all, and leaves nothing else where the process is
// killed: a file as create_file() makes it, on the disk, takes its place. `mode` regardless of the
// umask; missing parent directories are made, 0755. The error is the same each time for the same
// reason.
Result<void> replace_file(const std::string& path, std::string_view text, mode_t mode);

// Waits until no other process holds the file's lock, and holds it until the descriptor is closed.
// The file is made where it is missing, with `mode`; a symbolic link is not followed. Its folder
// has to be there, and is locked itself where the disk has no room for the file: then everybody who
// may open the folder can hold the lock, and it is waited for ten seconds only. The error names the
// file.
Result<UniqueFd> lock_file(const std::string& path, mode_t mode);

// Makes a file that is complete as soon as it has its name, and never has it otherwise, also when
// the process is killed meanwhile: nothing else stays. `mode` regardless of the umask; `durable`:
// it is on the disk as well. False where there is one of that name, which is left as it is. The
// folder has to be there.
Result<bool> create_file(const std::string& path, std::string_view text, mode_t mode,
                         bool durable = false);

}  // namespace flannel

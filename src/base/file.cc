#include "base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace flannel {
namespace {

constexpr int kFolderTries = 100;

std::string folder_of(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  return folder.empty() ? "." : folder.string();
}

}  // namespace

UniqueFd::~UniqueFd() {
  if (fd_ >= 0) {
    ::close(fd_);
  }
}

void close_on_exec(int fd) {
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
}

Result<std::string> read_all(int fd) {
  std::string text;
  std::array<char, 16384> chunk;
  for (;;) {
    const ssize_t got = ::read(fd, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return fail("{}", std::strerror(errno));
    }
    if (got == 0) {
      return text;
    }
    text.append(chunk.data(), static_cast<std::size_t>(got));
  }
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = ::write(fd, text.data(), text.size());
    if (put < 0 && errno != EINTR) {
      return false;
    }
    text.remove_prefix(put < 0 ? 0 : static_cast<std::size_t>(put));
  }
  return true;
}

Result<std::string> read_file(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    return fail("open {}: {}", path, std::strerror(errno));
  }
  Result<std::string> text = read_all(fd.get());
  return text ? std::move(text) : fail("read {}: {}", path, text.error().text);
}

Result<bool> make_folders(const std::string& path) {
  std::error_code error;
  for (int left = kFolderTries; left > 0; --left) {
    const bool made = std::filesystem::create_directories(path, error);
    if (!error) {
      return made;
    }
  }
  return fail("mkdir {}: {}", path, error.message());
}

Result<void> replace_file(const std::string& path, std::string_view text, mode_t mode) {
  const std::string folder = folder_of(path);
  if (const Result<bool> made = make_folders(folder); !made) {
    return std::unexpected(made.error());
  }
  std::string temporary = path + ".XXXXXX";
  const UniqueFd fd(::mkostemp(temporary.data(), O_CLOEXEC));
  if (!fd) {
    return fail("create {}: {}", temporary, std::strerror(errno));
  }
  const bool written = write_all(fd.get(), text) && ::fchmod(fd.get(), mode) == 0 &&
                       ::fsync(fd.get()) == 0 && ::rename(temporary.c_str(), path.c_str()) == 0;
  if (!written) {
    const int reason = errno;
    ::unlink(temporary.c_str());
    return fail("write {}: {}", path, std::strerror(reason));
  }
  return {};
}

Result<bool> create_file(const std::string& path, std::string_view text, mode_t mode,
                         bool durable) {
  // A file without a name first; where the file system has none (overlayfs before 6.6), the name
  // comes first.
  const UniqueFd nameless(::open(folder_of(path).c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, mode));
  const UniqueFd named(
      nameless ? -1 : ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!nameless && !named) {
    return errno == EEXIST ? Result<bool>(false)
                           : fail("create {}: {}", path, std::strerror(errno));
  }
  const int fd = nameless ? nameless.get() : named.get();
  bool done = write_all(fd, text) && (!durable || ::fsync(fd) == 0);
  if (nameless && done) {
    const std::string self = fmt::format("/proc/self/fd/{}", fd);
    done = ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0;
  }
  if (done) {
    return true;
  }
  const int reason = errno;
  if (named) {
    ::unlink(path.c_str());
  }
  return reason == EEXIST ? Result<bool>(false) : fail("write {}: {}", path, std::strerror(reason));
}

Result<UniqueFd> lock_file(const std::string& path, mode_t mode) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, mode));
  if (!fd && errno == ENOSPC) {
    fd = UniqueFd(::open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  if (!fd) {
    return fail("open {}: {}", path, std::strerror(errno));
  }
  while (::flock(fd.get(), LOCK_EX) != 0) {
    if (errno != EINTR) {
      return fail("lock {}: {}", path, std::strerror(errno));
    }
  }
  return fd;
}

}  // namespace flannel

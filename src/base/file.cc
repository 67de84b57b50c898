#include "base/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <random>
#include <thread>

namespace flannel {
namespace {

constexpr int kFolderTries = 100;
constexpr std::chrono::microseconds kFolderWait{100};
constexpr int kFolderLockTries = 1000;
constexpr std::chrono::milliseconds kFolderLockWait{10};
// Whatever the path leads to, opening it waits for nobody and takes no terminal.
constexpr int kOpenAnything = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;

std::string folder_of(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  return folder.empty() ? "." : folder.string();
}

// Up to the end, or until there are `enough` bytes.
Result<std::string> read_up_to(int fd, std::size_t most, std::size_t enough) {
  std::string text;
  std::array<char, 16384> chunk;
  while (text.size() < enough) {
    const ssize_t got = ::read(fd, chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return fail("{}", std::strerror(errno));
    }
    if (got == 0) {
      break;
    }
    text.append(chunk.data(), static_cast<std::size_t>(got));
  }
  if (text.size() > most) {
    return fail("{}", std::strerror(EFBIG));
  }
  return text;
}

// create_file(); errors name `path`, which the file is made for.
Result<bool> make_file(const std::string& name, std::string_view text, mode_t mode, bool durable,
                       const std::string& path) {
  // A file without a name first; where the file system has none (overlayfs before 6.6), the name
  // comes first.
  const UniqueFd nameless(::open(folder_of(name).c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, mode));
  const UniqueFd named(
      nameless ? -1 : ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!nameless && !named) {
    return errno == EEXIST ? Result<bool>(false)
                           : fail("create {}: {}", path, std::strerror(errno));
  }
  const int fd = nameless ? nameless.get() : named.get();
  bool done = write_all(fd, text) && ::fchmod(fd, mode) == 0 && (!durable || ::fsync(fd) == 0);
  if (nameless && done) {
    const std::string self = fmt::format("/proc/self/fd/{}", fd);
    done = ::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0;
  }
  if (done) {
    return true;
  }
  const int reason = errno;
  if (named) {
    ::unlink(name.c_str());
  }
  return reason == EEXIST ? Result<bool>(false) : fail("write {}: {}", path, std::strerror(reason));
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

Result<std::string> read_all(int fd, std::size_t most) {
  return read_up_to(fd, most, most + 1);
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

Result<std::string> read_file(const std::string& path, std::size_t most, Links links) {
  const int no_links = links == Links::refused ? O_NOFOLLOW : 0;
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | kOpenAnything | no_links));
  struct stat about{};
  if (!fd || ::fstat(fd.get(), &about) != 0) {
    return fail("open {}: {}", path, std::strerror(errno));
  }
  if (!S_ISREG(about.st_mode)) {
    return fail("open {}: {}", path,
                S_ISDIR(about.st_mode) ? std::strerror(EISDIR) : "Not a regular file");
  }
  // The files of /proc and /sys say that they have no bytes.
  const auto size = static_cast<std::size_t>(about.st_size);
  Result<std::string> text =
      read_up_to(fd.get(), most, std::min(size > 0 ? size : most + 1, most + 1));
  return text ? std::move(text) : fail("read {}: {}", path, text.error().text);
}

Result<bool> make_folders(const std::string& path, mode_t mode) {
  int reason = 0;
  for (int left = kFolderTries; left > 0; --left) {
    struct stat about{};
    if (::stat(path.c_str(), &about) == 0) {
      return S_ISDIR(about.st_mode) ? Result<bool>(false)
                                    : fail("mkdir {}: {}", path, std::strerror(ENOTDIR));
    }
    if (::mkdir(path.c_str(), mode) == 0) {
      return true;
    }
    reason = errno;
    const std::string parent = folder_of(path);
    if (reason == ENOENT && parent != path) {
      if (left < kFolderTries) {  // out of step with who removes it each time
        std::this_thread::sleep_for(kFolderWait);
      }
      if (const Result<bool> made = make_folders(parent); !made) {
        return made;
      }
    } else if (reason != EEXIST) {
      break;
    }
  }
  return fail("mkdir {}: {}", path, std::strerror(reason));
}

Result<void> replace_file(const std::string& path, std::string_view text, mode_t mode) {
  const std::string folder = folder_of(path);
  if (const Result<bool> made = make_folders(folder); !made) {
    return std::unexpected(made.error());
  }
  std::random_device random;
  std::string temporary;
  for (bool is_new = false; !is_new;) {
    temporary = fmt::format("{}.{:08x}", path, random());
    const Result<bool> made = make_file(temporary, text, mode, true, path);
    if (!made) {
      return std::unexpected(made.error());
    }
    is_new = *made;
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const int reason = errno;
    ::unlink(temporary.c_str());
    return fail("write {}: {}", path, std::strerror(reason));
  }
  return {};
}

Result<bool> create_file(const std::string& path, std::string_view text, mode_t mode,
                         bool durable) {
  return make_file(path, text, mode, durable, path);
}

Result<UniqueFd> lock_file(const std::string& path, mode_t mode) {
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CREAT | O_NOFOLLOW | kOpenAnything, mode));
  int tries = 1;
  int how = LOCK_EX;
  if (!fd && errno == ENOSPC) {
    fd = UniqueFd(::open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    tries = kFolderLockTries;
    how = LOCK_EX | LOCK_NB;
  }
  if (!fd) {
    return fail("open {}: {}", path, std::strerror(errno));
  }
  while (::flock(fd.get(), how) != 0) {
    if (errno == EWOULDBLOCK && --tries > 0) {
      std::this_thread::sleep_for(kFolderLockWait);
    } else if (errno != EINTR) {
      return fail("lock {}: {}", path, std::strerror(errno));
    }
  }
  return fd;
}

}  // namespace flannel

#include "ctl/lab_lock.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>

#include "ctl/interrupt.h"

namespace flannel {
namespace {

[[noreturn]] void fail_to_lock(const std::string& path) {
  throw std::runtime_error(fmt::format("lock {}: {}", path, std::strerror(errno)));
}

bool is_still_at(const UniqueFd& fd, const std::string& path) {
  struct stat held{}, named{};
  return ::fstat(fd.get(), &held) == 0 && ::stat(path.c_str(), &named) == 0 &&
         held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

void wait_for(const UniqueFd& fd, const std::string& path) {
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) == 0) {
    return;
  }
  fmt::print(stderr, "Waiting for another flannelctl that holds {}\n", path);
  while (::flock(fd.get(), LOCK_EX) != 0) {
    if (errno != EINTR) {
      fail_to_lock(path);
    }
    check_interrupted();
  }
}

}  // namespace

std::string lab_directory(const std::string& name) {
  return "/run/flannel-lab/" + name;
}

LabLock::LabLock(const std::string& name) {
  const std::string directory = lab_directory(name);
  const std::string path = directory + "/lock";
  do {
    if (const Result<bool> made = make_folders(directory); !made) {
      throw std::runtime_error(made.error().text);
    }
    // Without O_CLOEXEC: who is killed leaves the lock to the programs that it ran, such as the
    // `ip` that is about to make a namespace.
    fd_ = UniqueFd(::open(path.c_str(), O_RDWR | O_CREAT, 0600));
    if (fd_) {
      wait_for(fd_, path);
    } else if (errno != ENOENT) {
      fail_to_lock(path);
    }
  } while (!is_still_at(fd_, path));  // who had it may have removed the lab
}

}  // namespace flannel

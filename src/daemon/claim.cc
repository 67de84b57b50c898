#include "daemon/claim.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <thread>

#include "base/log.h"
#include "base/printable.h"
#include "base/task.h"

namespace flannel {
namespace {

constexpr int kTries = 20;
constexpr std::chrono::milliseconds kBetweenTries{50};

// 0, or an errno.
int try_lock(int fd) {
  for (int left = kTries;; --left) {
    if (::flock(fd, LOCK_EX | LOCK_NB) == 0) {
      return 0;
    }
    if (errno != EWOULDBLOCK || left == 0) {
      return errno;
    }
    std::this_thread::sleep_for(kBetweenTries);
  }
}

}  // namespace

UniqueFd claim_file(const std::string& path) {
  const std::string lock = path + ".lock";
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (!folder.empty()) {
    (void)make_folders(folder);  // where that fails, so does open()
  }
  UniqueFd fd(::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
  const int reason = fd ? try_lock(fd.get()) : errno;
  if (fd && reason == EWOULDBLOCK) {
    const std::string owner = read_all(fd.get()).value_or("");
    throw Fatal(fmt::format("{} is another flanneld's, process {}", printable(path),
                            printable(owner.substr(0, owner.find('\n')))));
  }
  if (reason != 0) {
    log_warning("nothing keeps other daemons from {}: {}: {}", printable(path), printable(lock),
                std::strerror(reason));
    return {};
  }
  if (::ftruncate(fd.get(), 0) != 0 || !write_all(fd.get(), fmt::format("{}\n", ::getpid()))) {
    log_verbose(1, "{}: {}", printable(lock), std::strerror(errno));  // it is locked all the same
  }
  return fd;
}

std::optional<UniqueFd> wait_for_file(const std::string& path,
                                      const std::function<bool()>& goes_on) {
  for (bool is_said = false;; is_said = true) {
    try {
      return claim_file(path);
    } catch (const Fatal& taken) {
      if (!is_said) {
        log_warning("{}: waiting for its end", taken.what());
      }
    }
    if (!goes_on()) {
      return std::nullopt;
    }
  }
}

}  // namespace flannel

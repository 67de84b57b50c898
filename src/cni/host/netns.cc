#include "cni/host/netns.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "cni/protocol/error.h"

namespace flannel::cni {
namespace {

void enter(int fd) {
  if (::setns(fd, CLONE_NEWNET) != 0) {
    throw_error(Code::invalid_netns, "cannot enter a network namespace: {}", std::strerror(errno));
  }
}

}  // namespace

std::optional<NetNs> NetNs::open(const std::string& path) {
  // Whatever is there: nobody waits for who would write into a FIFO.
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd && errno == ENOENT) {
    return std::nullopt;
  }
  if (!fd) {
    throw_error(Code::invalid_netns, "failed to open netns \"{}\": {}", path, std::strerror(errno));
  }
  struct statfs about{};
  if (::fstatfs(fd.get(), &about) != 0 ||
      (about.f_type != NSFS_MAGIC && about.f_type != PROC_SUPER_MAGIC)) {
    return std::nullopt;  // the file it was bound to is still there
  }
  return NetNs(std::move(fd));
}

NetNs NetNs::need(const std::string& path) {
  std::optional<NetNs> netns = open(path);
  if (!netns) {
    throw_error(Code::invalid_netns, "failed to open netns \"{}\": there is none", path);
  }
  return std::move(*netns);
}

NetNs NetNs::current() {
  UniqueFd fd(::open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC));
  if (!fd) {
    throw_error(Code::invalid_netns, "open /proc/self/ns/net: {}", std::strerror(errno));
  }
  return NetNs(std::move(fd));
}

void NetNs::run(const std::function<void()>& body) const {
  const NetNs home = current();
  enter(fd());
  struct Return {
    const NetNs& home;
    ~Return() { ::setns(home.fd(), CLONE_NEWNET); }
  } const way_back{home};
  body();
}

bool is_own_netns(const std::string& path) {
  struct stat a{}, b{};
  return ::stat(path.c_str(), &a) == 0 && ::stat("/proc/self/ns/net", &b) == 0 &&
         a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

bool set_sysctl(const std::string& name, const std::string& value) {
  const std::string path = "/proc/sys/" + name;
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (fd && ::write(fd.get(), value.data(), value.size()) == static_cast<ssize_t>(value.size())) {
    return true;
  }
  const Result<std::string> now = read_file(path);
  return now && *now == value + "\n";
}

}  // namespace flannel::cni

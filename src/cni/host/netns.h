// Network namespaces by path.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "base/file.h"

namespace flannel::cni {

class NetNs {
 public:
  // Nothing where there is no such path, or no namespace behind it any more; throws CniError
  // (invalid_netns) where it cannot be opened.
  static std::optional<NetNs> open(const std::string& path);
  // The same, where one has to be there: else throws CniError (invalid_netns).
  static NetNs need(const std::string& path);
  // That of this process. Throws as open().
  static NetNs current();

  int fd() const { return fd_.get(); }

  // Runs `body` inside, and comes back also when it throws.
  void run(const std::function<void()>& body) const;

 private:
  explicit NetNs(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

// A path to the network namespace of this process.
bool is_own_netns(const std::string& path);

// Writes a value of /proc/sys, `net/ipv4/ip_forward`, as the network namespace that the thread is
// in has it. Where /proc/sys is read-only, it is enough that the value is there already; false
// where it is another.
bool set_sysctl(const std::string& name, const std::string& value);

}  // namespace flannel::cni

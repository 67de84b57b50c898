#include "kernel/host_kernel.h"

#include <sys/epoll.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <system_error>
#include <utility>

#include "base/log.h"
#include "kernel/sysctl_part.h"

namespace flannel {

HostKernel::HostKernel(std::vector<std::unique_ptr<Part>> more)
    : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  auto rtnetlink = std::make_unique<RtnetlinkPart>();
  rtnetlink_ = rtnetlink.get();
  add(std::move(rtnetlink));
  add(std::make_unique<SysctlPart>());
  for (std::unique_ptr<Part>& part : more) {
    add(std::move(part));
  }
}

void HostKernel::add(std::unique_ptr<Part> part) {
  epoll_event event{};
  event.events = EPOLLIN;
  const int fd = part->notify_fd();
  if (fd >= 0 && ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    throw std::system_error(errno, std::generic_category(), "epoll");
  }
  parts_.push_back(std::move(part));
}

Part& HostKernel::part_of(const Object& object) {
  return **std::ranges::find_if(parts_, [&](const std::unique_ptr<Part>& part) {
    return part->kinds().test(object.index());
  });
}

Result<void> HostKernel::may_change() {
  return rtnetlink_->may_change();
}

Result<void> HostKernel::claim(const Scope& scope) {
  return claim_.hold(scope.links, scope.networks.empty() ? "" : scope.networks.front().to_text());
}

void HostKernel::dump(const Scope& scope, KindSet kinds, Snapshot& snapshot) {
  for (const std::unique_ptr<Part>& part : parts_) {
    if ((part->kinds() & kinds).any()) {
      part->dump(scope, kinds, snapshot);
    }
  }
}

std::vector<OpResult> HostKernel::apply(std::span<const Op> ops) {
  std::vector<OpResult> results;
  results.reserve(ops.size());
  while (!ops.empty()) {
    Part& part = part_of(ops.front().object);
    const auto end = std::ranges::find_if_not(
        ops, [&](const Op& op) { return part.kinds().test(op.object.index()); });
    const auto count = static_cast<std::size_t>(end - ops.begin());
    std::ranges::move(part.apply(ops.first(count)), std::back_inserter(results));
    ops = ops.subspan(count);
  }
  return results;
}

// What one part has told is lost with nothing that breaks in another: that one's kinds are listed.
Changes HostKernel::changes(const Scope& scope) {
  Changes changes;
  for (const std::unique_ptr<Part>& part : parts_) {
    try {
      part->changes(scope, changes);
    } catch (const std::system_error& error) {
      log_warning("notifications: {}", error.what());
      changes.dump_needed |= part->kinds();
    }
  }
  return changes;
}

std::vector<Audit> HostKernel::audits() const {
  std::vector<Audit> audits;
  for (const std::unique_ptr<Part>& part : parts_) {
    audits.push_back({part->kinds(), part->audit()});
  }
  return audits;
}

}  // namespace flannel

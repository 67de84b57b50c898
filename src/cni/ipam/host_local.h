// host-local: addresses from ranges, for containers of this node.
#pragma once

#include <functional>
#include <vector>

#include "cni/ipam/host_local_config.h"
#include "cni/ipam/reservations.h"

namespace flannel::cni {

// When this node was booted, in seconds since 1970; 0 where it is not known. A clock that was set
// since makes it earlier at most, never later: reservations of now are not taken for older ones.
std::int64_t boot_time();

// From the caller where it knows more of containers than the reservations do.
struct Containers {
  // This container has no reservation: none was ever asked for it. Saves reading all of them.
  bool is_new = false;
  // True for a container that is gone for certain. Asked only when a range is full, or a requested
  // address taken.
  std::function<bool(const Attachment&)> is_gone = [](const Attachment&) { return false; };
  // Seconds since 1970: containers of before are gone. Asked in the same cases.
  std::function<std::int64_t()> oldest = boot_time;
};

// One address from each range set, and the routes and DNS settings that go with them. When a set is
// full, or the address that is asked for taken, reservations are taken back from before the last
// boot, empty ones and those of containers that are gone. Reserves nothing where it throws
// CniError.
AddResult allocate(const HostLocalConfig& config, const Attachment& attachment,
                   const Containers& containers = {});

// Takes back all addresses of an attachment. Those that it is known to have are looked at first;
// where they were its own, the others are not read. None is fine. The others that it had.
std::vector<IpAddr> release(const std::string& folder, const Attachment& attachment,
                            const std::vector<IpAddr>& known = {});

// It has at least one address; of those that it is known to have one is enough to look at.
bool has_address(const std::string& folder, const Attachment& attachment,
                 const std::vector<IpAddr>& known = {});

// Takes back the addresses of all but `valid`, which is sorted.
void release_others(const std::string& folder, const std::vector<Attachment>& valid);

}  // namespace flannel::cni

// Addresses for a container from whatever plugin the configuration names: host-local is built in,
// any other is run.
#pragma once

#include <string>
#include <vector>

#include "cni/ipam/host_local.h"
#include "cni/protocol/request.h"
#include "cni/protocol/result.h"

namespace flannel::cni {

// All throw CniError, and do nothing for an empty type but ipam_add().
AddResult ipam_add(const Request& request, const std::string& type, const Containers& containers);
void ipam_check(const Request& request, const std::string& type);
void ipam_gc(const Request& request, const std::string& type);
void ipam_status(const Request& request, const std::string& type);
// `known`: addresses that the attachment is known to have had. Those that it had beside them, as
// far as they are known now.
std::vector<IpAddr> ipam_del(const Request& request, const std::string& type,
                             const std::vector<IpAddr>& known);

}  // namespace flannel::cni

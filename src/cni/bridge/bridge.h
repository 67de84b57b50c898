// Containers on a bridge of this node.
#pragma once

#include "cni/ipam/ipam.h"
#include "cni/protocol/request.h"
#include "cni/protocol/result.h"

namespace flannel::cni {

// Reads the request's configuration and throws CniError for what cannot be right; for an ADD also
// where the container has an interface of that name: a DEL would remove what is not ours.
void bridge_validate(const Request& request);
// A pair of veth links between bridge and container, addresses, routes, the gateway on the bridge
// and masquerading, as the request's configuration says. Throws CniError, and then nothing is left
// but the bridge.
AddResult bridge_add(const Request& request, const Containers& containers = {});
void bridge_check(const Request& request);
void bridge_del(const Request& request);

}  // namespace flannel::cni

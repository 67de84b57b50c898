// Which Node of Kubernetes we run on.
#pragma once

#include <string>
#include <string_view>

#include "kube/api_client.h"
#include "kube/kube_options.h"

namespace flannel {

// Whether Kubernetes lets an object be called so: a DNS subdomain (RFC 1123).
bool is_object_name(std::string_view name);

// What the environment says; and where it names only our pod, the node that this one is on. Throws
// as ApiClient does. Error: the pod has no node, or is not there.
Task<Result<std::string>> find_node_name(ApiClient& client, const KubeOptions& options);

}  // namespace flannel

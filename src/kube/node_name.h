// What things are called in Kubernetes, our Node among them.
#pragma once

#include <string>
#include <string_view>

#include "kube/api_client.h"

namespace flannel {

// Whether Kubernetes lets an object be called so: a DNS subdomain (RFC 1123).
bool is_object_name(std::string_view name);

// The node that a pod is on. Throws as ApiClient does, and std::runtime_error where the pod is on
// none, or is not there.
Task<std::string> find_node_name(ApiClient& client, std::string pod_namespace, std::string pod);

}  // namespace flannel

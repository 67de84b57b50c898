// The three ways to the API server: a pod's, a kubeconfig's, a URL alone.
#pragma once

#include <memory>

#include "base/result.h"
#include "kube/api_access.h"
#include "kube/kube_options.h"

namespace flannel {

// The kubeconfig with the URL over it, the URL alone, or what a pod gets where neither is given.
// Error: which of them cannot be used and why.
Result<std::unique_ptr<ApiAccess>> make_api_access(const KubeOptions& options);

}  // namespace flannel

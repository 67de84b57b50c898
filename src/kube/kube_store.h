// The lease store in the Nodes of Kubernetes, shared with nodes that run the reference.
#pragma once

#include <memory>

#include "kube/api_client.h"
#include "kube/kube_options.h"
#include "store/store.h"
#include "store/watch_attempts.h"

namespace flannel {

// Asks nothing yet. A lease is what is published of a Node: its podCIDRs and our annotations. It
// never expires. `on_trouble`: of its watches.
std::unique_ptr<LeaseStore> make_kube_store(std::unique_ptr<ApiClient> client, KubeOptions options,
                                            WatchAttempts::OnTrouble on_trouble = {});

}  // namespace flannel

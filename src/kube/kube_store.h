// The lease store in the Nodes of Kubernetes, shared with nodes that run the reference.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <string>

#include "kube/api_client.h"
#include "store/store.h"

namespace flannel {

struct KubeStoreOptions {
  std::string node_name;  // empty: that of the node that this pod is on
  std::string pod_namespace, pod_name;
  std::string annotation_prefix = "flannel.alpha.coreos.com/";
  std::string net_conf_path = "/etc/kube-flannel/net-conf.json";
  bool set_network_unavailable = true;
  // What keeps a watch from the store, one sentence; empty when it is well again.
  std::function<void(const std::string&)> on_state;
};

// Asks nothing yet. A lease is what is published of a Node: its podCIDRs and our annotations. It
// never expires.
std::unique_ptr<LeaseStore> make_kube_store(std::unique_ptr<ApiClient> client,
                                            KubeStoreOptions options);

}  // namespace flannel

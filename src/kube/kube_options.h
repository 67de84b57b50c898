// What the flags and the environment say of the Kubernetes API.
#pragma once

#include <string>

#include "rpc/proxy.h"

namespace flannel {

struct KubeOptions {
  std::string api_url;          // goes over the kubeconfig's; empty: its own, or in-cluster
  std::string kubeconfig_file;  // empty: none
  std::string annotation_prefix = "flannel.alpha.coreos.com/";  // of parse_annotation_prefix()
  std::string net_config_path = "/etc/kube-flannel/net-conf.json";
  bool set_node_network_unavailable = true;

  // Of the pod, by environment variables: NODE_NAME, or else POD_NAMESPACE and POD_NAME.
  std::string node_name, pod_namespace, pod_name;

  ProxyVariables proxies;  // by HTTPS_PROXY, …; a kubeconfig's own proxy goes before them

  // What every pod finds: by environment variables KUBERNETES_SERVICE_HOST and …_PORT, and the
  // folder with `token` and `ca.crt`.
  std::string service_host, service_port;
  std::string service_account_folder = "/var/run/secrets/kubernetes.io/serviceaccount";
};

}  // namespace flannel

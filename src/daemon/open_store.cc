#include "daemon/open_store.h"

#include <utility>
#include <vector>

#include "kube/kube_access.h"
#include "kube/kube_store.h"
#include "rpc/endpoint.h"
#include "store/local_store.h"

namespace flannel {

EtcdOptions etcd_options(const Options& options) {
  EtcdOptions out;
  out.endpoints.clear();
  const Result<std::vector<Endpoint>> endpoints = parse_endpoints(options.etcd_endpoints);
  for (const Endpoint& endpoint : endpoints.value_or(std::vector<Endpoint>())) {
    out.endpoints.push_back(endpoint.to_text());
  }
  out.prefix = options.etcd_prefix;
  out.keyfile = options.etcd_keyfile;
  out.certfile = options.etcd_certfile;
  out.cafile = options.etcd_cafile;
  out.username = options.etcd_username;
  out.password = options.etcd_password;
  return out;
}

Result<std::unique_ptr<LeaseStore>> open_store(const asio::any_io_executor& executor,
                                               const Options& options,
                                               std::function<void(const std::string&)> on_state) {
  if (!options.local_store.empty()) {
    return make_local_store(executor, options.local_store);
  }
  if (options.kube_subnet_mgr) {
    const KubeOptions& kube = options.kube;
    Result<std::unique_ptr<ApiAccess>> access = make_api_access(kube);
    if (!access) {
      return std::unexpected(access.error());
    }
    return make_kube_store(std::make_unique<ApiClient>(executor, std::move(*access)),
                           {.node_name = kube.node_name,
                            .pod_namespace = kube.pod_namespace,
                            .pod_name = kube.pod_name,
                            .annotation_prefix = kube.annotation_prefix,
                            .net_conf_path = kube.net_config_path,
                            .set_network_unavailable = kube.set_node_network_unavailable,
                            .on_state = std::move(on_state)});
  }
  EtcdOptions etcd = etcd_options(options);
  etcd.on_state = std::move(on_state);
  return make_etcd_store(executor, std::move(etcd));
}

}  // namespace flannel

#include "daemon/open_store.h"

#include <utility>
#include <vector>

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
    return fail(
        "--kube-subnet-mgr is not supported yet: leases are in etcd, or for one machine in "
        "a file (--local-store)");
  }
  EtcdOptions etcd = etcd_options(options);
  etcd.on_state = std::move(on_state);
  return make_etcd_store(executor, std::move(etcd));
}

}  // namespace flannel

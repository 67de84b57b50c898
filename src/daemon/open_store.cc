#include "daemon/open_store.h"

#include <utility>

#include "kube/kube_access.h"
#include "kube/kube_store.h"
#include "store/etcd_store.h"
#include "store/local_store.h"

namespace flannel {

Result<std::unique_ptr<LeaseStore>> open_store(const asio::any_io_executor& executor,
                                               const Options& options,
                                               WatchAttempts::OnTrouble on_trouble) {
  if (!options.local_store.empty()) {
    return make_local_store(executor, options.local_store);
  }
  if (options.kube_subnet_mgr) {
    Result<std::unique_ptr<ApiAccess>> access = make_api_access(options.kube);
    if (!access) {
      return std::unexpected(access.error());
    }
    return make_kube_store(std::make_unique<ApiClient>(executor, std::move(*access)), options.kube,
                           std::move(on_trouble));
  }
  return make_etcd_store(executor, options.etcd, std::move(on_trouble));
}

}  // namespace flannel

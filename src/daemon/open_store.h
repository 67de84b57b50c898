// The lease store that the flags name.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "daemon/options.h"
#include "store/etcd_store.h"

namespace flannel {

// The --etcd-* flags, as far as the store goes by them.
EtcdOptions etcd_options(const Options& options);

// `on_state` is called with what keeps a watch from a store that is far, and with an empty text
// when all is well again. Error: which flag or file is wrong.
Result<std::unique_ptr<LeaseStore>> open_store(const asio::any_io_executor& executor,
                                               const Options& options,
                                               std::function<void(const std::string&)> on_state);

}  // namespace flannel

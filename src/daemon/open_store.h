// The lease store that the flags name.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>

#include "base/result.h"
#include "daemon/options.h"
#include "store/store.h"
#include "store/watch_attempts.h"

namespace flannel {

// `on_trouble`: of the watches of a store that is not on this machine. Error: which flag or file is
// wrong.
Result<std::unique_ptr<LeaseStore>> open_store(const asio::any_io_executor& executor,
                                               const Options& options,
                                               WatchAttempts::OnTrouble on_trouble);

}  // namespace flannel

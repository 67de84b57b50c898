// The lease store in etcd (v3 API), shared with nodes that run the reference.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <memory>
#include <string>

#include "base/result.h"
#include "rpc/least_rate.h"
#include "store/store.h"
#include "store/watch_attempts.h"

namespace flannel {

// flanneld's --etcd-* options.
struct EtcdOptions {
  std::string endpoints = "http://127.0.0.1:4001,http://127.0.0.1:2379";  // as parse_endpoints()
  std::string prefix = "/coreos.com/network";
  std::string keyfile, certfile, cafile;  // empty: none
  std::string username, password;         // an empty name: nobody logs in
};

// Does not connect yet. Each endpoint's scheme decides about TLS; without one, it is TLS where a
// CA, a certificate or a key is given. Where some endpoints have TLS and a user name is given, the
// others are not used. Error: an endpoint that cannot be read, or `open FILE: REASON`. Calls of the
// store throw StoreRefused where the password is wrong. `on_trouble`: of its watches; `least_rate`:
// at which an event has to come once it has begun.
Result<std::unique_ptr<LeaseStore>> make_etcd_store(asio::any_io_executor executor,
                                                    EtcdOptions options,
                                                    WatchAttempts::OnTrouble on_trouble = {},
                                                    LeastRate least_rate = {});

}  // namespace flannel

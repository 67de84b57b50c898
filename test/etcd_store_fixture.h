// What the tests of the etcd store share: a loop, and nodes and networks to speak of.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>

#include "etcd_server.h"
#include "store/etcd_store.h"

namespace flannel {

using namespace std::chrono_literals;

inline const std::string kSubnets = "/coreos.com/network/subnets/";

inline LeaseAttrs node(const std::string& ip) {
  return {.public_ip = *IpAddr::parse(ip), .backend_type = "vxlan"};
}

inline LeaseKey key_of(const std::string& text) {
  return *parse_lease_key(text);
}

inline NetworkConfig network(const std::string& json = R"({"Network": "10.5.0.0/16",
                                                    "Backend": {"Type": "vxlan"}})") {
  return parse_network_config(json).value();
}

class EtcdStoreTest : public testing::Test {
 protected:
  void SetUp() override { ETCD_OR_SKIP(); }

  std::unique_ptr<LeaseStore> open(EtcdOptions options) {
    Result<std::unique_ptr<LeaseStore>> store =
        make_etcd_store(loop.get_executor(), std::move(options));
    if (!store) {
      ADD_FAILURE() << store.error().text;
      std::abort();
    }
    return std::move(*store);
  }
  std::unique_ptr<LeaseStore> open(const EtcdServer& server) {
    return open(EtcdOptions{.endpoints = {server.url()}});
  }

  template <class T>
  T run(Task<T> task) {
    std::optional<T> out;
    std::exception_ptr error;
    asio::co_spawn(loop, std::move(task), [&](std::exception_ptr thrown, T value) {
      error = thrown;
      out = std::move(value);
    });
    run_until([&] { return out.has_value(); });
    if (error) {
      std::rethrow_exception(error);
    }
    return std::move(*out);
  }

  // Throws when it takes longer than a minute.
  void run_until(const std::function<bool()>& done) {
    const auto limit = std::chrono::steady_clock::now() + 60s;
    while (!done()) {
      if (std::chrono::steady_clock::now() > limit) {
        throw std::runtime_error("not done within a minute");
      }
      loop.run_one_for(1s);
      loop.restart();
    }
  }

  template <class T>
  std::string error_of(Task<T> task) {
    try {
      run(std::move(task));
    } catch (const std::exception& error) {
      return error.what();
    }
    return "no error";
  }

  asio::io_context loop;
};

}  // namespace flannel

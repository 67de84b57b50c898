// What the tests of the stores share: a loop, and nodes and networks to speak of.
#pragma once

#include <gtest/gtest.h>

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/loop_fixture.h"
#include "store/store.h"

namespace flannel {

using namespace std::chrono_literals;

inline LeaseAttrs node(const std::string& ip) {
  return {.public_ip = *IpAddr::parse(ip), .backend_type = "vxlan"};
}

inline LeaseKey key_of(const std::string& text) {
  return *parse_lease_key(text);
}

// A subnet drawn at random is none of those that tests write, which are below SubnetMin.
inline NetworkConfig network(
    const std::string& json =
        R"({"Network":"10.5.0.0/16","SubnetMin":"10.5.16.0","Backend":{"Type":"vxlan"}})") {
  return parse_network_config(json).value();
}

inline AcquireRequest request_of(const std::string& ip) {
  return {.network = network(), .attrs = node(ip), .previous = {}};
}

class StoreFixture : public LoopTest {
 protected:
  // All of them at once, each in its own coroutine.
  std::vector<Result<Lease>> run_all(std::vector<Task<Result<Lease>>> tasks) {
    std::vector<Result<Lease>> results;
    for (Task<Result<Lease>>& task : tasks) {
      asio::co_spawn(loop, std::move(task), [&](std::exception_ptr error, Result<Lease> result) {
        results.push_back(error ? fail("it threw") : std::move(result));
      });
    }
    run_until([&] { return results.size() == tasks.size(); });
    return results;
  }
};

inline std::set<std::string> key_texts(const std::vector<Lease>& leases) {
  std::set<std::string> texts;
  for (const Lease& lease : leases) {
    texts.insert(to_text(lease.key));
  }
  return texts;
}

}  // namespace flannel

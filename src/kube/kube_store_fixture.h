// A store in the Nodes of a fake API server, which has our own.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/directory_fixture.h"
#include "base/file.h"
#include "kube/kube_store.h"
#include "kube/node_objects_fixture.h"
#include "store/store_fixture.h"
#include "test/support/fake_kube_api.h"
#include "test/support/troubles.h"

namespace flannel {

inline const std::string kConfig = R"({"Network":"10.244.0.0/16","Backend":{"Type":"vxlan"}})";

class KubeStoreTest : public StoreFixture {
 protected:
  KubeStoreTest() {
    EXPECT_TRUE(replace_file(directory.file("net-conf.json"), kConfig, 0644));
    api.put({.name = "own", .pod_cidrs = {"10.244.1.0/24"}});
  }

  std::unique_ptr<LeaseStore> open() {
    return make_kube_store(api.client(loop.get_executor()),
                           {.net_config_path = directory.file("net-conf.json"),
                            .set_node_network_unavailable = set_condition,
                            .node_name = "own"},
                           [this](const std::string& trouble) { note_trouble(troubles, trouble); });
  }
  static LeaseAttrs attrs() {
    LeaseAttrs attrs = node("198.18.0.11");
    attrs.backend_data = R"({"VNI":1,"VtepMAC":"02:00:5e:10:00:01"})";
    return attrs;
  }
  AcquireRequest request(const std::string& config = kConfig) const {
    return {.network = store->parse_config(config).value(), .attrs = attrs(), .previous = {}};
  }
  Lease acquire() { return run(store->acquire(request())).value(); }
  std::string refusal(const std::string& config = kConfig) {
    return run(store->acquire(request(config))).error().text;
  }
  void set_own(const std::function<void(NodeObject&)>& change) {
    NodeObject node = api.node("own");
    change(node);
    api.put(node);
  }
  // The first that comes from now on.
  std::string next_request() {
    api.take_requests();
    std::vector<std::string> requests;
    run_until([&] { return !requests.empty() || !(requests = api.take_requests()).empty(); });
    return requests.front();
  }
  std::vector<std::string> patches() {
    std::vector<std::string> requests = api.take_requests();
    std::erase_if(requests, [](const std::string& each) { return !each.starts_with("PATCH"); });
    return requests;
  }

  TestDirectory directory;
  FakeKubeApi api{loop};
  bool set_condition = true;
  std::vector<std::string> troubles;  // of its watches
  std::unique_ptr<LeaseStore> store = open();
};

}  // namespace flannel

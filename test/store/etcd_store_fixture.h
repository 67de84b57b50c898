// What the tests of the etcd store share beside StoreFixture: servers, and stores in them.
#pragma once

#include "store/etcd_store.h"
#include "store/store_fixture.h"
#include "test/support/etcd_server.h"
#include "test/support/troubles.h"

namespace flannel {

inline const std::string kSubnets = "/coreos.com/network/subnets/";

class EtcdStoreTest : public StoreFixture {
 protected:
  void SetUp() override { ETCD_OR_SKIP(); }

  std::unique_ptr<LeaseStore> open(EtcdOptions options) {
    Result<std::unique_ptr<LeaseStore>> store =
        make_etcd_store(loop.get_executor(), std::move(options),
                        [this](const std::string& trouble) { note_trouble(troubles, trouble); });
    if (!store) {
      ADD_FAILURE() << store.error().text;
      std::abort();
    }
    return std::move(*store);
  }
  std::unique_ptr<LeaseStore> open(const EtcdServer& server) {
    return open(EtcdOptions{.endpoints = server.url()});
  }
  // 10.5.NUMBER.0/24 of the node 198.18.0.NUMBER.
  static void put_peer(const EtcdServer& server, unsigned number) {
    server.ctl({"put", fmt::format("{}10.5.{}.0-24", kSubnets, number),
                fmt::format(R"({{"PublicIP":"198.18.0.{}"}})", number)});
  }

  std::vector<std::string> troubles;  // of the stores' watches
};

}  // namespace flannel
